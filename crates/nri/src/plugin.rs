//! One plugin: how it becomes one, and how it is told and asked.
//!
//! | step         | who calls | within                     |
//! |--------------|-----------|----------------------------|
//! | register     | plugin    | the registration's timeout |
//! | configure    | runtime   | the request's timeout      |
//! | synchronize  | runtime   | the synchronisation's timeout, for each part of it |
//! | events       | runtime   | the request's timeout      |

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::config::{Config, Timeouts};
use crate::error::{Error, Failure, Result};
use crate::event::{self, Events};
use crate::frame::MAX_BODY;
use crate::launch::Identity;
use crate::link::{Incoming, Link, UNIMPLEMENTED, UNKNOWN, Unsuccessful};
use crate::wire::api::{
    ConfigureRequest, ConfigureResponse, Container, ContainerUpdate, Empty, Event, FailurePolicy, PodSandbox,
    RegisterPluginRequest, StateChangeEvent, SynchronizeRequest, SynchronizeResponse,
};
use crate::wire::ttrpc::Status;

/// The version of the interface that is spoken here.
const INTERFACE: &str = "v0.12.0";
/// What the envelope of a part of a synchronisation may add to it.
const ENVELOPE: usize = 4096;

/// A registered plugin.
pub(crate) struct Plugin {
    /// By its index, then its name: the order in which plugins are called.
    pub(crate) identity: Identity,
    pub(crate) link: Link,
    pub(crate) events: Events,
    policy: FailurePolicy,
    timeouts: Timeouts,
    /// Held while it is asked: a plugin gets one request at a time, in the order in which things happen.
    turn: tokio::sync::Mutex<()>,
    /// The program, if it was started here. It is killed with this.
    _program: Option<Child>,
}

/// One program or connection that may become a plugin.
pub(crate) struct Candidate {
    pub(crate) socket: UnixStream,
    /// Of one that was started here; others say who they are.
    pub(crate) identity: Option<Identity>,
    /// Its configuration.
    pub(crate) settings: String,
    pub(crate) program: Option<Child>,
}

impl Plugin {
    /// Waits for a candidate's registration, and configures it. The receiver gets what it calls from then on.
    pub(crate) async fn register(
        candidate: Candidate,
        config: &Config,
    ) -> Result<(Self, mpsc::Receiver<Incoming>)> {
        let Candidate { socket, identity, settings, program } = candidate;
        let (link, mut calls) = Link::open(socket);
        let name = identity.as_ref().map_or_else(|| "at the socket".to_owned(), Identity::full);
        let patience = config.timeouts.registration;
        let registered = match tokio::time::timeout(patience, calls.recv()).await {
            Ok(Some(call)) => registered(&link, &call, identity).await,
            Ok(None) => Err(unanswered(&name, "RegisterPlugin", link.closed().await)),
            Err(_) => Err(unanswered(&name, "RegisterPlugin", Failure::Timeout(patience))),
        };
        let identity = registered?;
        let request = ConfigureRequest {
            config: settings,
            runtime_name: config.runtime_name.clone(),
            runtime_version: config.runtime_version.clone(),
            registration_timeout: milliseconds(config.timeouts.registration),
            request_timeout: milliseconds(config.timeouts.request),
            nri_version: INTERFACE.to_owned(),
        };
        let name = identity.full();
        let answer: ConfigureResponse = link
            .call("Configure", &request, config.timeouts.request)
            .await
            .map_err(|error| unsuccessful(&name, "Configure", error))?;
        let events = Events::subscribed(answer.events).map_err(|unknown| Error::Registration {
            plugin: name,
            says: format!("it subscribes to events that do not exist: {unknown:#x}"),
        })?;
        let plugin = Self {
            identity,
            link,
            events,
            policy: answer.failure_policy.unwrap_or_default(),
            timeouts: config.timeouts,
            turn: tokio::sync::Mutex::new(()),
            _program: program,
        };
        Ok((plugin, calls))
    }

    /// Shows it everything that there is; what it wants updated for that.
    pub(crate) async fn synchronize(
        &self,
        pods: &[PodSandbox],
        containers: &[Container],
    ) -> Result<Vec<ContainerUpdate>> {
        const CALL: &str = "Synchronize";
        let mut parts = parts(pods, containers).into_iter().peekable();
        while let Some(mut part) = parts.next() {
            part.more = parts.peek().is_some();
            let answer: SynchronizeResponse = self
                .link
                .call(CALL, &part, self.timeouts.synchronisation)
                .await
                .map_err(|error| unsuccessful(&self.identity.full(), CALL, error))?;
            if !part.more {
                return Ok(answer.update);
            }
            if !answer.more || !answer.update.is_empty() {
                let says =
                    "there is more here than one message holds, and it cannot take it in parts".to_owned();
                return Err(Error::Registration { plugin: self.identity.full(), says });
            }
        }
        Ok(Vec::new())
    }

    /// Asks it, if it has subscribed to the event. Without an answer, what its failure policy says happens: usually it
    /// is disconnected and the others are asked as if it had not been there.
    pub(crate) async fn ask<Answer: Message + Default>(
        &self,
        event: Event,
        request: &impl Message,
        instead: Option<&StateChangeEvent>,
    ) -> Result<Option<Answer>> {
        if !self.events.contains(event) || self.link.is_closed() {
            return Ok(None);
        }
        let _turn = self.turn.lock().await;
        if self.link.is_closed() {
            return Ok(None);
        }
        let call = event::call(event);
        let patience = self.timeouts.request;
        let mut answer = self.link.call(call, request, patience).await;
        // Plugins older than most calls know one for all of them.
        if let (Err(Unsuccessful::Refused(status)), Some(change)) = (&answer, instead)
            && status.code == UNIMPLEMENTED
        {
            let told: Result<Empty, _> = self.link.call("StateChange", change, patience).await;
            answer = told.map(|_| Answer::default());
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Unsuccessful::Refused(status)) => Err(self.refused(call, status)),
            Err(Unsuccessful::Failed(why)) => self.failed(call, why),
        }
    }

    /// Asks it to judge what others want. One that cannot be asked has not agreed.
    pub(crate) async fn judge<Answer: Message + Default>(&self, request: &impl Message) -> Result<Answer> {
        let call = event::call(Event::ValidateContainerAdjustment);
        let _turn = self.turn.lock().await;
        self.link.call(call, request, self.timeouts.request).await.map_err(|error| match error {
            Unsuccessful::Refused(status) => self.refused(call, status),
            Unsuccessful::Failed(why) => {
                self.drop_for(&why);
                unanswered(&self.identity.full(), call, why)
            }
        })
    }

    /// Tells it that the runtime ends.
    pub(crate) async fn shut_down(&self) {
        let told: Result<Empty, _> = self.link.call("Shutdown", &Empty {}, self.timeouts.request).await;
        if told.is_err() {
            tracing::debug!(plugin = self.identity.full(), "it was not told of the end");
        }
        self.link.close(Failure::Closed);
    }

    fn refused(&self, call: &'static str, status: Status) -> Error {
        Error::Refused { plugin: self.identity.full(), call, message: status.message }
    }

    fn failed<T>(&self, call: &'static str, why: Failure) -> Result<Option<T>> {
        self.drop_for(&why);
        if self.policy.fail_request {
            return Err(unanswered(&self.identity.full(), call, why));
        }
        tracing::warn!(plugin = self.identity.full(), call, error = %why, "going on without the plugin's answer");
        Ok(None)
    }

    fn drop_for(&self, why: &Failure) {
        if !(matches!(why, Failure::Timeout(_)) && self.policy.keep_connected) {
            self.link.close(why.clone());
        }
    }
}

/// Answers the first call, which has to be the registration.
async fn registered(link: &Link, call: &Incoming, known: Option<Identity>) -> Result<Identity> {
    let registration = match RegisterPluginRequest::decode(call.payload.clone()) {
        Ok(registration) if call.method == "RegisterPlugin" => registration,
        _ => {
            let says = format!("it calls {} before it registers", call.method);
            link.answer(call, Err(Status { code: UNKNOWN, message: says.clone() })).await;
            return Err(Error::Registration { plugin: "at the socket".to_owned(), says });
        }
    };
    // The name of one that was started here is its file's.
    let identity = match known {
        Some(identity) => Ok(identity),
        None => Identity::new(&registration.plugin_idx, &registration.plugin_name),
    };
    match identity {
        Ok(identity) => {
            link.answer(call, Ok(Vec::new())).await;
            tracing::info!(
                plugin = identity.full(),
                interface = registration.nri_version,
                "an NRI plugin has registered"
            );
            Ok(identity)
        }
        Err(says) => {
            link.answer(call, Err(Status { code: UNKNOWN, message: says.clone() })).await;
            Err(Error::Registration { plugin: registration.plugin_name, says })
        }
    }
}

/// As few messages as hold all pods and containers: in almost every case one.
fn parts(pods: &[PodSandbox], containers: &[Container]) -> Vec<SynchronizeRequest> {
    let mut parts = vec![SynchronizeRequest::default()];
    let mut size = 0;
    let mut place = |item: usize, parts: &mut Vec<SynchronizeRequest>| {
        // Each item has a tag and its length before it.
        let item = item + 6;
        if size > 0 && size + item > MAX_BODY - ENVELOPE {
            parts.push(SynchronizeRequest::default());
            size = 0;
        }
        size += item;
    };
    for pod in pods {
        place(pod.encoded_len(), &mut parts);
        parts.last_mut().into_iter().for_each(|part| part.pods.push(pod.clone()));
    }
    for container in containers {
        place(container.encoded_len(), &mut parts);
        parts.last_mut().into_iter().for_each(|part| part.containers.push(container.clone()));
    }
    parts
}

fn unsuccessful(plugin: &str, call: &'static str, error: Unsuccessful) -> Error {
    match error {
        Unsuccessful::Refused(status) => {
            Error::Refused { plugin: plugin.to_owned(), call, message: status.message }
        }
        Unsuccessful::Failed(why) => unanswered(plugin, call, why),
    }
}

fn unanswered(plugin: &str, call: &'static str, cause: Failure) -> Error {
    Error::Unanswered { plugin: plugin.to_owned(), call, cause }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Those that are called, in order.
pub(crate) type Ordered = Arc<[Arc<Plugin>]>;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::frame::{self, Assembler, Kind, PLUGIN, RUNTIME};
    use crate::wire::ttrpc::{Request, Response};

    /// The other end of a plugin's socket, which knows these calls and no others; what it was called.
    async fn old_plugin(mut socket: UnixStream, knows: &'static [&'static str]) -> Vec<String> {
        let registration = RegisterPluginRequest {
            plugin_name: "old".to_owned(),
            plugin_idx: "42".to_owned(),
            ..Default::default()
        };
        let request = Request {
            method: "RegisterPlugin".to_owned(),
            payload: registration.encode_to_vec(),
            ..Default::default()
        };
        let message = frame::encode(RUNTIME, 1, Kind::Request, &request).unwrap();
        socket.write_all(&message).await.unwrap();
        let mut assembler = Assembler::default();
        let mut called = Vec::new();
        while socket.read_buf(assembler.buffer()).await.is_ok_and(|read| read > 0) {
            while let Some(message) = assembler.message().unwrap() {
                if message.kind == Kind::Response {
                    continue;
                }
                let request = Request::decode(message.body).unwrap();
                let known = knows.contains(&request.method.as_str());
                let status = Status { code: UNIMPLEMENTED, message: "what?".to_owned() };
                let response = Response { status: (!known).then_some(status), payload: Vec::new() };
                called.push(request.method);
                let answer = frame::encode(PLUGIN, message.stream, Kind::Response, &response).unwrap();
                socket.write_all(&answer).await.unwrap();
            }
        }
        called
    }

    #[tokio::test]
    async fn a_plugin_that_does_not_know_a_call_is_told_of_a_change_of_state() {
        let (own, other) = UnixStream::pair().unwrap();
        let peer = tokio::spawn(old_plugin(other, &["Configure", "Synchronize", "StateChange"]));
        let config = Config {
            runtime_name: "test".to_owned(),
            runtime_version: "1".to_owned(),
            socket: None,
            plugin_folder: "/nowhere".into(),
            config_folder: "/nowhere".into(),
            timeouts: Timeouts::default(),
            required: Vec::new(),
        };
        let candidate = Candidate { socket: own, identity: None, settings: String::new(), program: None };
        let (plugin, _calls) = Plugin::register(candidate, &config).await.unwrap();
        assert_eq!(plugin.identity.full(), "42-old");
        plugin.synchronize(&[], &[]).await.unwrap();
        let change = StateChangeEvent { event: Event::StartContainer.into(), ..Default::default() };
        let told: Option<Empty> = plugin.ask(Event::StartContainer, &Empty {}, Some(&change)).await.unwrap();
        assert_eq!(told, Some(Empty {}));
        // What is asked and not only told has nothing instead.
        let asked = plugin.ask::<Empty>(Event::CreateContainer, &Empty {}, None).await;
        assert_eq!(asked.unwrap_err().to_string(), "plugin 42-old refused CreateContainer: what?");
        drop(plugin);
        let expected = ["Configure", "Synchronize", "StartContainer", "StateChange", "CreateContainer"];
        assert_eq!(peer.await.unwrap(), expected);
    }

    #[test]
    fn everything_is_one_message_until_it_does_not_fit() {
        assert_eq!(parts(&[], &[]).len(), 1);
        let pod = PodSandbox { name: "p".repeat(1 << 20), ..Default::default() };
        let container = Container { name: "c".repeat(1 << 20), ..Default::default() };
        let parts = parts(&vec![pod; 4], &vec![container; 4]);
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.encoded_len() <= MAX_BODY - ENVELOPE));
        assert_eq!(parts.iter().map(|part| part.pods.len()).sum::<usize>(), 4);
        assert_eq!(parts.iter().map(|part| part.containers.len()).sum::<usize>(), 4);
    }
}
