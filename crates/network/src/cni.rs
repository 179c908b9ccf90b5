//! The verbs on attachments: add, delete, check, collect garbage, status.
//!
//! ```text
//! add      read the files if they changed → agree on a version → record → ADD first to last → record the result
//!            └ a plugin fails: DEL last to first on all networks, forget
//! del      for every record of the id, with the configuration in it: DEL last to first, through errors → forget
//!            └ no record, or one that cannot be read: with the present configuration
//! check    CHECK first to last
//! gc       del of every id that is not valid → GC on every network that has it
//! status   is there a network, do its plugins exist and agree → STATUS on every network that has it
//! ```
//! A verb that has begun comes to its end even when its caller goes away: the chain is never cut between two plugins.

use crate::attachment::Attachment;
use crate::chain::{Chain, on_network};
use crate::conf_dir::{Broken, ConfDirs, Loaded};
use crate::error::{Cause, Error, Failure, Result};
use crate::netns;
use crate::network_list::NetworkList;
use crate::plugin::{PluginError, Runner};
use crate::record::{Found, Record, RecordError, Records};
use crate::result::{AddResult, Dns};
use crate::spec_version::SpecVersion;
use crate::turns::Turns;
use crate::versions::Versions;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where everything is, and how it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folders of network configurations.
    pub conf_dirs: Vec<PathBuf>,
    /// Folders of plugins; the first that has one counts.
    pub bin_dirs: Vec<PathBuf>,
    /// Where attachments are recorded.
    pub cache_dir: PathBuf,
    /// To how many networks a pod is attached, in the order of the configurations' file names; 0 for all.
    pub max_networks: usize,
    /// Interfaces in pods are named with it: `eth0` for the first network, `eth1` for the second.
    pub interface_prefix: String,
    /// How long each plugin may take.
    pub timeout: Duration,
    /// Which of a pod's addresses is the primary one.
    pub ip_preference: IpPreference,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            conf_dirs: vec!["/etc/cni/net.d".into()],
            bin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
            cache_dir: "/var/lib/cofferdam/cni".into(),
            max_networks: 1,
            interface_prefix: "eth".to_owned(),
            timeout: Duration::from_secs(120),
            ip_preference: IpPreference::default(),
        }
    }
}

/// Which address comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpPreference {
    /// IPv4 before IPv6.
    #[default]
    Ipv4,
    /// IPv6 before IPv4.
    Ipv6,
    /// The order in which the plugins assigned them.
    Cni,
}

/// What an attachment came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// The addresses of the first network's interface, the primary first. Empty if its plugins assign none.
    pub ips: Vec<IpAddr>,
    /// How names are resolved on the first network, where it says so.
    pub dns: Dns,
    /// Every network, with all that its plugins answered.
    pub networks: Vec<AttachedNetwork>,
}

/// One network of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedNetwork {
    /// The network's name.
    pub network: String,
    /// The interface in the pod.
    pub interface: String,
    /// What the plugins answered.
    pub result: AddResult,
}

/// A network as it is configured now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The versions that it allows and that are understood here, the newest first.
    pub versions: Vec<SpecVersion>,
    /// Its plugins, in order.
    pub plugins: Vec<String>,
}

/// Why no pod can be attached now.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// There is no usable configuration.
    #[error("there is no network configuration in {}{}", list(folders), and_broken(broken))]
    NoNetwork {
        /// Where it was looked for.
        folders: Vec<PathBuf>,
        /// The files that are there but cannot be used.
        broken: Vec<Broken>,
    },
    /// A plugin is missing, speaks no version in common, or says that it cannot serve.
    #[error("network {network} is not ready")]
    Plugin {
        /// Which network.
        network: String,
        /// What its plugin says.
        #[source]
        cause: Box<PluginError>,
    },
}

/// The networks that pods are attached to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cni {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    dirs: ConfDirs,
    runner: Runner,
    versions: Versions,
    records: Records,
    turns: Turns,
}

impl Cni {
    /// Nothing is read or made before the first verb.
    pub fn new(config: Config) -> Self {
        let shared = Shared {
            dirs: ConfDirs::new(config.conf_dirs.clone(), config.max_networks),
            runner: Runner { folders: config.bin_dirs.clone(), time: config.timeout },
            versions: Versions::default(),
            records: Records::new(config.cache_dir.clone()),
            turns: Turns::default(),
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Attaches a namespace to the configured networks. After an error nothing is attached; what could not be undone
    /// is in the error. An attachment of the same id that a crash has left is undone first.
    pub async fn add(&self, attachment: &Attachment) -> Result<Attached> {
        attachment.validate()?;
        let (shared, attachment) = (Arc::clone(&self.shared), attachment.clone());
        to_its_end("attaching", async move { shared.add(&attachment).await }).await
    }

    /// Undoes an attachment, with the configuration that made it. Idempotent. Goes on through errors, so that as much
    /// is undone as can be; what failed is tried again by the next call.
    pub async fn del(&self, attachment: &Attachment) -> Result<()> {
        attachment.validate()?;
        let (shared, attachment) = (Arc::clone(&self.shared), attachment.clone());
        to_its_end("detaching", async move {
            let _turn = shared.turns.on(&attachment.id).await;
            shared.del(&attachment).await
        })
        .await
    }

    /// Asks the plugins whether an attachment is what it was made. Networks that do not know the question, or are
    /// configured not to be asked, are taken to be well.
    pub async fn check(&self, id: &str) -> Result<()> {
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        to_its_end("checking", async move { shared.check(&id).await }).await
    }

    /// Undoes all attachments but those of the valid ids, and has the plugins forget whatever else they know.
    pub async fn gc(&self, valid: &[String]) -> Result<()> {
        let (shared, valid) = (Arc::clone(&self.shared), valid.to_vec());
        to_its_end("collecting garbage", async move { shared.gc(&valid).await }).await
    }

    /// Whether a pod could be attached now.
    pub async fn status(&self) -> std::result::Result<(), NotReady> {
        let shared = &self.shared;
        let loaded = shared.networks().await?;
        for source in &loaded.networks {
            let network = &source.list;
            let not_ready =
                |cause| NotReady::Plugin { network: network.name.clone(), cause: Box::new(cause) };
            let version = shared.versions.agree(&shared.runner, network).await.map_err(not_ready)?;
            if version >= SpecVersion::STATUS {
                let failures = on_network(&shared.runner, network, version, "STATUS", &Map::new()).await;
                failures.into_iter().next().map_or(Ok(()), |failure| Err(not_ready(failure)))?;
            }
        }
        Ok(())
    }

    /// What is attached under an id, from its records: after a restart the same as `add` has answered.
    pub async fn attached(&self, id: &str) -> Result<Option<Attached>> {
        let records = self.shared.records_of(id).await?;
        let records: Vec<Record> =
            records.into_iter().map(|found| found.record).collect::<std::result::Result<_, _>>()?;
        let made = records.iter().all(|record| record.result.is_some()) && !records.is_empty();
        Ok(made.then(|| self.shared.attached(&records)))
    }

    /// The networks as they are configured now, and the files that are skipped.
    pub async fn configured(&self) -> (Vec<Configured>, Vec<Broken>) {
        let loaded = self.shared.load().await;
        let networks = loaded.networks.iter().map(|source| Configured {
            name: source.list.name.clone(),
            path: source.path.clone(),
            versions: source.list.versions.clone(),
            plugins: source.list.plugins.iter().map(|plugin| plugin.name.clone()).collect(),
        });
        (networks.collect(), loaded.broken.clone())
    }
}

impl Shared {
    async fn add(self: &Arc<Self>, attachment: &Attachment) -> Result<Attached> {
        let _turn = self.turns.on(&attachment.id).await;
        let loaded = self.networks().await?;
        if !self.records_of(&attachment.id).await?.is_empty() {
            self.del(attachment).await?;
        }
        let mut made: Vec<Record> = Vec::with_capacity(loaded.networks.len());
        for (index, source) in loaded.networks.iter().enumerate() {
            let network = &source.list;
            let failed = match self.versions.agree(&self.runner, network).await {
                Ok(version) => {
                    let mut record = self.new_record(attachment, index, network, version);
                    self.write(&record).await?;
                    let chain = Chain::new(&self.runner, network, version, &record, Some(&attachment.netns));
                    let added = chain.add().await;
                    let added = added.map(|result| record.result = Some(result));
                    made.push(record);
                    added
                }
                Err(cause) => Err(cause),
            };
            if let Err(cause) = failed {
                let left = self.undo(made).await;
                let (id, network) = (attachment.id.clone(), network.name.clone());
                return Err(Error::Attach { id, network, left, cause: Box::new(cause) });
            }
            if let Some(record) = made.last()
                && let Err(cause) = self.write(record).await
            {
                // Without its result the attachment could not be undone as it was made, after the next crash.
                self.undo(made).await;
                return Err(cause.into());
            }
        }
        Ok(self.attached(&made))
    }

    async fn del(self: &Arc<Self>, attachment: &Attachment) -> Result<()> {
        let mut failures = Vec::new();
        let found = self.records_of(&attachment.id).await?;
        if found.is_empty() {
            let loaded = self.load().await;
            for index in (0..loaded.networks.len()).rev() {
                let failed = self.del_by_present_configuration(attachment, &loaded, index).await;
                // A plugin that is not there has made nothing.
                failures.extend(
                    failed.into_iter().filter(|failure| {
                        !matches!(failure.cause, Cause::Plugin(PluginError::Missing { .. }))
                    }),
                );
            }
        }
        for Found { interface, record } in found.into_iter().rev() {
            let failed = match record {
                Ok(record) => self.del_record(&record).await,
                Err(cause @ RecordError::Malformed { .. }) => {
                    log::warn!("{} is detached with the present configuration: {cause}", attachment.id);
                    let index =
                        interface.strip_prefix(&self.config.interface_prefix).and_then(|n| n.parse().ok());
                    match index {
                        Some(index) => {
                            let loaded = self.load().await;
                            self.del_by_present_configuration(attachment, &loaded, index).await
                        }
                        None => Vec::new(),
                    }
                }
                Err(cause) => vec![failure(&attachment.id, &interface, cause)],
            };
            let failed =
                if failed.is_empty() { self.forget(&attachment.id, &interface).await } else { failed };
            failures.extend(failed);
        }
        if failures.is_empty() { Ok(()) } else { Err(Error::Detach { id: attachment.id.clone(), failures }) }
    }

    async fn check(self: &Arc<Self>, id: &str) -> Result<()> {
        let _turn = self.turns.on(id).await;
        let found = self.records_of(id).await?;
        if found.is_empty() {
            return Err(Error::NotAttached(id.to_owned()));
        }
        for Found { record, .. } in found {
            let record = record?;
            if record.result.is_none() {
                return Err(Error::NotAttached(id.to_owned()));
            }
            let Some((network, version)) = network_of(&record) else { continue };
            if version < SpecVersion::CHECK || network.disable_check {
                continue;
            }
            let chain = Chain::new(&self.runner, &network, version, &record, Some(&record.netns));
            let failed = |cause| Error::Check {
                id: id.to_owned(),
                network: network.name.clone(),
                cause: Box::new(cause),
            };
            chain.check().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn gc(self: &Arc<Self>, valid: &[String]) -> Result<()> {
        let _alone = self.turns.alone().await;
        let mut failures = Vec::new();
        let records = self.records.clone();
        for id in blocking(move || records.ids()).await?.into_iter().filter(|id| !valid.contains(id)) {
            match self.del(&Attachment { id, ..Attachment::default() }).await {
                Err(Error::Detach { failures: more, .. }) => failures.extend(more),
                other => other?,
            }
        }
        let loaded = self.load().await;
        for (index, source) in loaded.networks.iter().enumerate() {
            let network = &source.list;
            let failed = match self.versions.agree(&self.runner, network).await {
                Ok(version) if version >= SpecVersion::STATUS && !network.disable_gc => {
                    let valid = self.valid_attachments(valid, index, &network.name).await?;
                    // The specification's name, and the one that the first plugins were written for.
                    let more = [("cni.dev/valid-attachments", &valid), ("cni.dev/attachments", &valid)];
                    let more =
                        more.map(|(name, value)| (name.to_owned(), value.clone())).into_iter().collect();
                    on_network(&self.runner, network, version, "GC", &more).await
                }
                Ok(_) => Vec::new(),
                Err(cause) => vec![cause],
            };
            failures.extend(failed.into_iter().map(|cause| failure("", &network.name, cause)));
        }
        if failures.is_empty() { Ok(()) } else { Err(Error::Collect(failures)) }
    }

    /// The attachments to a network that must survive. One without a record, because it was lost, survives too.
    async fn valid_attachments(
        self: &Arc<Self>,
        valid: &[String],
        index: usize,
        network: &str,
    ) -> Result<Value> {
        let mut attachments = Vec::with_capacity(valid.len());
        for id in valid {
            let found = self.records_of(id).await?;
            let of_network = found.iter().filter(|found| match &found.record {
                Ok(record) => record.network.get("name").and_then(Value::as_str) == Some(network),
                Err(_) => true,
            });
            let mut interfaces: Vec<String> = of_network.map(|found| found.interface.clone()).collect();
            if found.is_empty() {
                interfaces.push(self.interface(index));
            }
            attachments
                .extend(interfaces.into_iter().map(|ifname| json!({"containerID": id, "ifname": ifname})));
        }
        Ok(attachments.into())
    }

    /// Takes back what an attachment has come to; what cannot be taken back keeps its record.
    async fn undo(self: &Arc<Self>, made: Vec<Record>) -> Vec<Failure> {
        let mut left = Vec::new();
        for record in made.into_iter().rev() {
            let failed = self.del_record(&record).await;
            let failed =
                if failed.is_empty() { self.forget(&record.id, &record.interface).await } else { failed };
            left.extend(failed);
        }
        left
    }

    async fn del_by_present_configuration(
        self: &Arc<Self>,
        attachment: &Attachment,
        loaded: &Loaded,
        index: usize,
    ) -> Vec<Failure> {
        let Some(source) = loaded.networks.get(index) else { return Vec::new() };
        match self.versions.agree(&self.runner, &source.list).await {
            Ok(version) => self.del_record(&self.new_record(attachment, index, &source.list, version)).await,
            Err(cause) => vec![failure(&attachment.id, &source.list.name, cause)],
        }
    }

    async fn del_record(self: &Arc<Self>, record: &Record) -> Vec<Failure> {
        // What is written here was read by the same functions before.
        let Some((network, version)) = network_of(record) else { return Vec::new() };
        let netns = record.netns.clone();
        let there = blocking(move || netns::is_pinned(&netns).unwrap_or(false)).await;
        let chain =
            Chain::new(&self.runner, &network, version, record, there.then_some(record.netns.as_path()));
        chain.del().await.into_iter().map(|cause| failure(&record.id, &network.name, cause)).collect()
    }

    async fn forget(self: &Arc<Self>, id: &str, interface: &str) -> Vec<Failure> {
        let (records, owned) = (self.records.clone(), (id.to_owned(), interface.to_owned()));
        match blocking(move || records.remove(&owned.0, &owned.1)).await {
            Ok(()) => Vec::new(),
            Err(cause) => vec![failure(id, interface, cause)],
        }
    }

    fn new_record(
        &self,
        attachment: &Attachment,
        index: usize,
        network: &NetworkList,
        version: SpecVersion,
    ) -> Record {
        let (interface, list) = (self.interface(index), network.to_object(version));
        let (arguments, capabilities) = (attachment.arguments(), attachment.capabilities());
        Record::new(&attachment.id, &interface, &attachment.netns, list, arguments, capabilities)
    }

    fn interface(&self, index: usize) -> String {
        format!("{}{index}", self.config.interface_prefix)
    }

    async fn write(self: &Arc<Self>, record: &Record) -> std::result::Result<(), RecordError> {
        let (records, record) = (self.records.clone(), record.clone());
        blocking(move || records.write(&record)).await
    }

    async fn records_of(self: &Arc<Self>, id: &str) -> std::result::Result<Vec<Found>, RecordError> {
        let (records, id) = (self.records.clone(), id.to_owned());
        blocking(move || records.of(&id)).await
    }

    async fn load(self: &Arc<Self>) -> Arc<Loaded> {
        let shared = Arc::clone(self);
        blocking(move || shared.dirs.current()).await
    }

    /// The networks, of which there is at least one.
    async fn networks(self: &Arc<Self>) -> std::result::Result<Arc<Loaded>, NotReady> {
        let loaded = self.load().await;
        if loaded.networks.is_empty() {
            let (folders, broken) = (self.dirs.folders().to_vec(), loaded.broken.clone());
            return Err(NotReady::NoNetwork { folders, broken });
        }
        Ok(loaded)
    }

    fn attached(&self, records: &[Record]) -> Attached {
        let networks = records.iter().filter_map(|record| {
            let (network, version) = network_of(record)?;
            // It was understood before it was recorded.
            let result = AddResult::from_json(record.result.as_ref()?, version).ok()?;
            Some(AttachedNetwork { network: network.name, interface: record.interface.clone(), result })
        });
        let networks: Vec<AttachedNetwork> = networks.collect();
        let Some(first) = networks.first() else { return Attached::default() };
        let mut ips = first.result.ips_of(&first.interface);
        match self.config.ip_preference {
            IpPreference::Ipv4 => ips.sort_by_key(IpAddr::is_ipv6),
            IpPreference::Ipv6 => ips.sort_by_key(IpAddr::is_ipv4),
            IpPreference::Cni => {}
        }
        Attached { ips, dns: first.result.dns.clone(), networks }
    }
}

/// A task of its own: it goes on when whoever waits for it goes away.
async fn to_its_end<T: Send + 'static>(
    verb: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::CutOff(verb)),
    }
}

/// Work with files, where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down; there will be nobody to hear of it.
        Err(_) => std::future::pending().await,
    }
}

fn network_of(record: &Record) -> Option<(NetworkList, SpecVersion)> {
    let network = NetworkList::from_object(record.network.clone()).ok()?;
    let version = *network.versions.first()?;
    Some((network, version))
}

fn failure(id: &str, network: &str, cause: impl Into<Cause>) -> Failure {
    Failure { id: id.to_owned(), network: network.to_owned(), cause: cause.into() }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| Path::display(folder).to_string()).collect::<Vec<_>>().join(", ")
}

fn and_broken(broken: &[Broken]) -> String {
    let skipped: Vec<String> =
        broken.iter().map(|broken| format!("{}: {}", broken.path.display(), broken.reason)).collect();
    if skipped.is_empty() { String::new() } else { format!(" (skipped: {})", skipped.join("; ")) }
}
