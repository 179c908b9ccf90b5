//! What is said to CRIU and what it answers: the messages of its `rpc.proto`.

use super::protobuf::{self, Message};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `criu_req_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
}

impl Verb {
    /// As its own messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Dump => "DUMP",
            Verb::Restore => "RESTORE",
            Verb::PreDump => "PRE_DUMP",
            Verb::Notify => "NOTIFY",
            Verb::FeatureCheck => "FEATURE_CHECK",
        }
    }
}

/// Fields of `criu_opts`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opt {
    ImagesDirFd = 1,
    Pid = 2,
    LeaveRunning = 3,
    ExtUnixSk = 4,
    TcpEstablished = 5,
    EvasiveDevices = 6,
    ShellJob = 7,
    FileLocks = 8,
    LogLevel = 9,
    LogFile = 10,
    PageServer = 11,
    NotifyScripts = 12,
    Root = 13,
    ParentImg = 14,
    TrackMem = 15,
    AutoDedup = 16,
    WorkDirFd = 17,
    LinkRemap = 18,
    ExtMnt = 23,
    CgRoot = 25,
    RstSibling = 26,
    InheritFd = 27,
    ManageCgroupsMode = 34,
    External = 37,
    EmptyNs = 38,
    JoinNs = 39,
    FreezeCgroup = 44,
    TcpSkipInFlight = 46,
    LazyPages = 48,
    OrphanPtsMaster = 50,
    ConfigFile = 51,
    LsmProfile = 53,
    LsmMountContext = 63,
}

/// `criu_opts`.
#[derive(Debug, Default)]
pub(super) struct Opts(Message);

impl Opts {
    pub(super) fn number(&mut self, opt: Opt, value: u32) {
        self.0.number(opt as u32, u64::from(value));
    }

    /// What is not said is not wanted.
    pub(super) fn flag(&mut self, opt: Opt, wanted: bool) {
        if wanted {
            self.number(opt, 1);
        }
    }

    pub(super) fn text(&mut self, opt: Opt, value: &str) {
        self.0.bytes(opt as u32, value.as_bytes());
    }

    pub(super) fn path(&mut self, opt: Opt, value: &Path) {
        self.0.bytes(opt as u32, value.as_os_str().as_bytes());
    }

    /// `page_server`, `ext_mount_map`, `cgroup_root`, `join_namespace`: text and text.
    pub(super) fn pair(&mut self, opt: Opt, first: &[u8], second: &[u8]) {
        let mut pair = Message::default();
        pair.bytes(1, first);
        pair.bytes(2, second);
        self.0.bytes(opt as u32, pair.as_bytes());
    }

    /// `criu_page_server_info`, `inherit_fd`: text and number.
    pub(super) fn numbered(&mut self, opt: Opt, name: &str, number: u32) {
        let mut pair = Message::default();
        pair.bytes(1, name.as_bytes());
        pair.number(2, u64::from(number));
        self.0.bytes(opt as u32, pair.as_bytes());
    }
}

/// A `criu_req` with options.
pub(super) fn request(verb: Verb, opts: &Opts) -> Message {
    let mut request = Message::default();
    request.number(1, verb as u64);
    request.bytes(2, opts.0.as_bytes());
    request
}

/// The answer to a notification.
pub(super) fn notified(success: bool) -> Message {
    let mut request = Message::default();
    request.number(1, Verb::Notify as u64);
    request.number(3, u64::from(success));
    request
}

/// Asks which features there are.
pub(super) fn feature_check() -> Message {
    let mut wanted = Message::default();
    for feature in [1, 2] {
        wanted.number(feature, 1);
    }
    let mut request = Message::default();
    request.number(1, Verb::FeatureCheck as u64);
    request.bytes(5, wanted.as_bytes());
    request
}

/// A `criu_resp`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) verb: u64,
    pub(super) success: bool,
    pub(super) errno: i32,
    pub(super) message: String,
    /// What CRIU is about to do, or has done.
    pub(super) script: String,
    /// Whom that is about.
    pub(super) pid: i32,
    pub(super) features: Features,
}

/// `criu_features`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) mem_track: bool,
    pub(super) lazy_pages: bool,
}

impl Response {
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut response = Self::default();
        while let Some((field, value)) = protobuf::next(&mut bytes) {
            match field {
                1 => response.verb = value.number(),
                2 => response.success = value.number() != 0,
                5 => {
                    let mut notify = value.bytes();
                    while let Some((field, value)) = protobuf::next(&mut notify) {
                        match field {
                            1 => response.script = text(value.bytes()),
                            2 => response.pid = value.number() as i32,
                            _ => {}
                        }
                    }
                }
                7 => response.errno = value.number() as i32,
                8 => {
                    let mut features = value.bytes();
                    while let Some((field, value)) = protobuf::next(&mut features) {
                        match field {
                            1 => response.features.mem_track = value.number() != 0,
                            2 => response.features.lazy_pages = value.number() != 0,
                            _ => {}
                        }
                    }
                }
                9 => response.message = text(value.bytes()),
                _ => {}
            }
        }
        response
    }

    pub(super) fn is_notification(&self) -> bool {
        self.verb == Verb::Notify as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_bytes_of_rpc_proto() {
        let mut opts = Opts::default();
        opts.number(Opt::ImagesDirFd, 5);
        opts.flag(Opt::LeaveRunning, false);
        opts.flag(Opt::ShellJob, true);
        opts.pair(Opt::ExtMnt, b"/a", b"/b");
        opts.numbered(Opt::InheritFd, "pipe:[1]", 1);
        let expected = b"\x08\x02\x12\x1e\x08\x05\x38\x01\xba\x01\x08\x0a\x02/a\x12\x02/b\xda\x01\x0c\x0a\x08pipe:[1]\x10\x01";
        assert_eq!(request(Verb::Restore, &opts).as_bytes(), expected);
        assert_eq!(notified(true).as_bytes(), b"\x08\x06\x18\x01");
    }

    #[test]
    fn a_response_is_read() {
        let bytes = b"\x08\x06\x10\x01\x2a\x12\x0a\x0epost-restore\xff\xff\x10\x2a";
        let response = Response::parse(bytes);
        assert!(response.is_notification() && response.success);
        assert_eq!(response.pid, 42);
        assert!(response.script.starts_with("post-restore"));
        assert_eq!(Response::parse(b"\x08\x01\x10\x00\x38\x16\x4a\x02no").message, "no");
        assert_eq!(Response::parse(b"\xff"), Response::default());
    }
}
