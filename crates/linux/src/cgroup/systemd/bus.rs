//! One connection, one call at a time. Signals that arrive meanwhile wait for who asks for them.

use super::MANAGER;
use super::value::Value;
use super::wire::{self, Message};
use crate::cgroup::error::{Error, Result};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ANSWER: Duration = Duration::from_secs(30);
const LONGEST_LINE: usize = 1024;

pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// A bus with many peers, or systemd's own socket, where nobody else is to be addressed.
    shared: bool,
    signals: VecDeque<Message>,
}

impl Bus {
    /// The system's or the user's bus; without a bus, systemd's own socket.
    pub(super) fn connect(user: bool) -> Result<Self> {
        let mut errors = Vec::new();
        for (address, shared) in addresses(user) {
            match connect_to(&address) {
                Ok(stream) => return Self::greet(stream, shared),
                Err(cause) => errors.push(Error::io(format!("connect to {}", show(&address)), cause)),
            }
        }
        let purpose = if user { "connect to the user's systemd" } else { "connect to systemd" };
        Err(match Error::collect(errors) {
            Err(error) => error.context(purpose),
            Ok(()) => Error::Unsupported(format!(
                "{purpose}: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"
            )),
        })
    }

    pub(super) fn greet(stream: UnixStream, shared: bool) -> Result<Self> {
        let mut bus = Self { stream, serial: 0, shared, signals: VecDeque::new() };
        bus.authenticate().map_err(|cause| Error::io("authenticate to D-Bus", cause))?;
        if shared {
            bus.call_at(BUS, BUS_PATH, BUS, "Hello", &[])?;
        }
        Ok(bus)
    }

    /// The peer knows from the socket who we are. To say nothing ourselves is right in a user namespace too, where
    /// our own idea of our id is not the peer's. All of it goes out at once, as systemd's own library does it: a
    /// systemd that reads the first call together with `BEGIN` does not look at it until a second one arrives.
    fn authenticate(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(ANSWER))?;
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let asked = self.line()?;
        // Before version 246 systemd does not ask, and answers twice.
        let accepted = if asked.starts_with("REJECTED") { asked } else { self.line()? };
        if accepted.starts_with("OK") {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, accepted))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
            if line.len() > LONGEST_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// systemd announces the end of jobs only to who subscribed.
    pub(super) fn watch_jobs(&mut self) -> Result<()> {
        if self.shared {
            let rule = format!(
                "type='signal',sender='{SYSTEMD}',path='{SYSTEMD_PATH}',interface='{MANAGER}',member='JobRemoved'"
            );
            self.call_at(BUS, BUS_PATH, BUS, "AddMatch", &[rule.as_str().into()])?;
        }
        match self.call(MANAGER, "Subscribe", &[]) {
            Err(Error::Systemd { name, .. }) if name == "org.freedesktop.systemd1.AlreadySubscribed" => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    pub(super) fn get_property(&mut self, interface: &str, property: &str) -> Result<Value> {
        let mut answer = self.call(PROPERTIES, "Get", &[interface.into(), property.into()])?;
        match answer.pop() {
            Some(Value::Variant(value)) => Ok(*value),
            other => Err(self.broken(&format!("get property {property}"), format!("answered {other:?}"))),
        }
    }

    /// A method of systemd's manager.
    pub(super) fn call(&mut self, interface: &str, member: &str, arguments: &[Value]) -> Result<Vec<Value>> {
        self.call_at(SYSTEMD, SYSTEMD_PATH, interface, member, arguments)
    }

    fn call_at(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        arguments: &[Value],
    ) -> Result<Vec<Value>> {
        self.serial = self.serial.wrapping_add(1).max(1);
        let destination = self.shared.then_some(destination);
        let bytes = wire::call(self.serial, destination, path, interface, member, arguments);
        let attempted = || format!("call {interface}.{member}");
        self.stream.write_all(&bytes).map_err(|cause| Error::io(attempted(), cause))?;
        let deadline = Instant::now().checked_add(ANSWER);
        loop {
            let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
            let Some(message) = self.receive(left)? else {
                return Err(Error::Timeout(format!("{}: no answer", attempted())));
            };
            match message.kind {
                wire::REPLY if message.reply_serial == self.serial => return Ok(message.body),
                wire::ERROR if message.reply_serial == self.serial => {
                    let text = match message.body.first() {
                        Some(Value::String(text)) => text.clone(),
                        _ => message.error_name.clone(),
                    };
                    return Err(Error::Systemd {
                        attempted: attempted(),
                        answer: text,
                        name: message.error_name,
                    });
                }
                wire::SIGNAL => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    /// The next signal, or `None` when the time is over.
    pub(super) fn next_signal(&mut self, patience: Duration) -> Result<Option<Message>> {
        if let Some(signal) = self.signals.pop_front() {
            return Ok(Some(signal));
        }
        let deadline = Instant::now().checked_add(patience);
        loop {
            let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
            match self.receive(left)? {
                Some(message) if message.kind == wire::SIGNAL => return Ok(Some(message)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn receive(&mut self, patience: Duration) -> Result<Option<Message>> {
        if patience.is_zero() {
            return Ok(None);
        }
        let mut bytes = vec![0; wire::FIXED_HEADER];
        match self.fill(&mut bytes, patience) {
            Ok(()) => {}
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(cause) => return Err(Error::io("read from D-Bus", cause)),
        }
        let broken =
            |why| Error::Systemd { attempted: "read from D-Bus".into(), answer: why, name: String::new() };
        let header = bytes.first_chunk().ok_or_else(|| broken("no header".into()))?;
        let rest = wire::remaining(header).map_err(broken)?;
        bytes.resize(wire::FIXED_HEADER.saturating_add(rest), 0);
        let tail = bytes.get_mut(wire::FIXED_HEADER..).unwrap_or_default();
        self.fill(tail, ANSWER).map_err(|cause| Error::io("read from D-Bus", cause))?;
        wire::decode(&bytes).map(Some).map_err(broken)
    }

    fn fill(&mut self, bytes: &mut [u8], patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.read_exact(bytes)
    }

    fn broken(&self, attempted: &str, answer: String) -> Error {
        Error::Systemd { attempted: attempted.into(), answer, name: String::new() }
    }
}

/// A place to connect to: a path, or a name that is in no file system.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

fn addresses(user: bool) -> Vec<(Address, bool)> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (bus, directory, own) = if user {
        let directory = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        (
            "DBUS_SESSION_BUS_ADDRESS",
            directory.as_ref().map(|d| d.join("bus")),
            directory.map(|d| d.join("systemd/private")),
        )
    } else {
        (
            "DBUS_SYSTEM_BUS_ADDRESS",
            Some(PathBuf::from("/run/dbus/system_bus_socket")),
            Some(PathBuf::from("/run/systemd/private")),
        )
    };
    let mut addresses: Vec<(Address, bool)> = match variable(bus) {
        Some(list) => {
            parse_addresses(&list.to_string_lossy()).into_iter().map(|address| (address, true)).collect()
        }
        None => directory.map(|path| (Address::Path(path), true)).into_iter().collect(),
    };
    addresses.extend(own.map(|path| (Address::Path(path), false)));
    addresses
}

/// `unix:path=/run/user/1000/bus,guid=…;unix:abstract=…`; other transports are not for us.
fn parse_addresses(list: &str) -> Vec<Address> {
    let address = |text: &str| {
        text.strip_prefix("unix:")?.split(',').find_map(|pair| match pair.split_once('=')? {
            ("path", path) => {
                Some(Address::Path(PathBuf::from(std::ffi::OsString::from_vec(unescape(path)))))
            }
            ("abstract", name) => Some(Address::Abstract(unescape(name))),
            _ => None,
        })
    };
    list.split(';').filter_map(address).collect()
}

/// `%2f` is a slash.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code =
            tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn connect_to(address: &Address) -> io::Result<UnixStream> {
    match address {
        Address::Path(path) => UnixStream::connect(path),
        Address::Abstract(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
    }
}

fn show(address: &Address) -> String {
    match address {
        Address::Path(path) => Path::display(path).to_string(),
        Address::Abstract(name) => format!("@{}", String::from_utf8_lossy(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::systemd::finish;
    use std::io::BufRead;

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            parse_addresses("tcp:host=x;unix:path=/run/a%20b,guid=1;unix:abstract=/tmp/x"),
            [Address::Path("/run/a b".into()), Address::Abstract(b"/tmp/x".to_vec())]
        );
    }

    /// A peer that authenticates as systemd does, then answers each call with what it is told.
    fn peer(stream: UnixStream, answers: Vec<Vec<Vec<u8>>>) {
        let mut reader = io::BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        let mut line = String::new();
        for expected in ["\0AUTH EXTERNAL\r\n", "DATA\r\n", "BEGIN\r\n"] {
            line.clear();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, expected);
        }
        writer.write_all(b"DATA\r\nOK 0123\r\n").unwrap();
        for answer in answers {
            let mut header = [0; wire::FIXED_HEADER];
            reader.read_exact(&mut header).unwrap();
            let mut rest = vec![0; wire::remaining(&header).unwrap()];
            reader.read_exact(&mut rest).unwrap();
            answer.iter().for_each(|message| writer.write_all(message).unwrap());
        }
    }

    #[test]
    fn a_job_is_waited_for_even_if_it_ends_before_its_call_returns() {
        let job = || Value::ObjectPath("/job/5".into());
        let removed = |path: &str, result: &str| {
            wire::tests::message(
                wire::SIGNAL,
                vec![(3, "JobRemoved".into())],
                &[Value::U32(5), Value::ObjectPath(path.into()), "a.scope".into(), result.into()],
            )
        };
        let reply =
            |serial, body: &[Value]| wire::tests::message(wire::REPLY, vec![(5, Value::U32(serial))], body);
        let failed = wire::tests::message(
            wire::ERROR,
            vec![(4, "org.freedesktop.systemd1.UnitExists".into()), (5, Value::U32(2))],
            &["Unit a.scope already exists.".into()],
        );
        let (ours, theirs) = UnixStream::pair().unwrap();
        let answers = vec![
            vec![removed("/job/4", "failed"), removed("/job/5", "done"), reply(1, &[job()])],
            vec![failed],
        ];
        let thread = std::thread::spawn(move || peer(theirs, answers));
        let mut bus = Bus::greet(ours, false).unwrap();
        let started = bus.call(MANAGER, "StartTransientUnit", &["a.scope".into()]).unwrap();
        assert_eq!(finish(&mut bus, &started).unwrap(), "done");
        let error = bus.call(MANAGER, "StartTransientUnit", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "call org.freedesktop.systemd1.Manager.StartTransientUnit: Unit a.scope already exists."
        );
        assert_eq!(compute::Classify::kind(&error), compute::Kind::AlreadyExists);
        thread.join().unwrap();
    }

    /// A real bus checks every byte of what it passes on. There is no systemd on this one, and it says so; had the
    /// message been wrong, it would have closed the connection.
    #[test]
    fn a_real_bus_accepts_our_messages() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        let config = folder.path().join("config");
        // Without folders of services it starts nothing for us.
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><policy context='default'>\
             <allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let daemon = std::process::Command::new("dbus-daemon")
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut daemon) = daemon else {
            println!("skipped: dbus-daemon is not installed");
            return;
        };
        let mut address = String::new();
        io::BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let unit = crate::cgroup::systemd::Unit::plan("c", None, false, None).unwrap();
        let outcome = std::panic::catch_unwind(|| {
            let mut bus = Bus::greet(UnixStream::connect(&socket).unwrap(), true).unwrap();
            let names = bus.call_at(BUS, BUS_PATH, BUS, "ListNames", &[]).unwrap();
            assert!(
                matches!(&names[..], [Value::Array(_, names)] if names.contains(&BUS.into())),
                "{names:?}"
            );
            let resources = serde_json::from_str(r#"{"memory":{"limit":100},"cpu":{"cpus":"0-1"}}"#).unwrap();
            let policy = crate::cgroup::devices::Policy::of_spec(&[]).unwrap();
            let now = crate::cgroup::systemd::Now::default();
            let layout = crate::cgroup::layout::Kind::V2;
            let mut properties =
                crate::cgroup::systemd::properties::of_unit(&unit, layout, 1, &resources).unwrap();
            let limits = crate::cgroup::systemd::properties::of_resources(
                layout,
                &resources,
                Some(&policy),
                &now,
                257,
            );
            properties.extend(limits.unwrap());
            let arguments = [
                unit.name.as_str().into(),
                "replace".into(),
                Value::properties(properties),
                Value::Array("(sa(sv))".into(), vec![]),
            ];
            match bus.call(MANAGER, "StartTransientUnit", &arguments) {
                Err(Error::Systemd { name, .. }) => name,
                other => panic!("{other:?}"),
            }
        });
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        assert_eq!(outcome.unwrap(), "org.freedesktop.DBus.Error.ServiceUnknown");
    }
}
