//! One QEMU process: the flags, and its life.

use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// With which init calls emulation spends a second that no test needs.
const SKIPPED_INIT_CALLS: &str = "load_system_certificate_list,jent_mod_init,init_encrypted,cec_init,digsig_init,\
                                  i8042_init,init_ima,crypto_kdf108_init";

pub(super) struct Files<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initrd: &'a Path,
    pub(super) root: &'a Path,
    pub(super) payload: &'a Path,
    pub(super) console: &'a Path,
    pub(super) code: &'a Path,
}

/// Where the payload's terminal leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stdio {
    /// To this process's own.
    Inherit,
    /// To its stdout, and into what [`boot`] returns.
    Collect,
}

/// Starts the machine and waits for its end.
pub(super) fn boot(files: &Files<'_>, stdio: Stdio, timeout: Duration) -> Result<String> {
    let mut command = command(files)?;
    if stdio == Stdio::Inherit {
        let status = command.status().context("run qemu-system-x86_64 (`cargo xtask setup` installs it)")?;
        ensure!(status.success(), "qemu: {status}");
        return Ok(String::new());
    }
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().context("run qemu-system-x86_64 (`cargo xtask setup` installs it)")?;
    let stdout = child.stdout.take().context("qemu's stdout")?;
    let (ended, end) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let output = copy(stdout);
        // Nobody listens after the time was up.
        let _ = ended.send(());
        output
    });
    let in_time = end.recv_timeout(timeout).is_ok();
    if !in_time {
        child.kill().context("end qemu")?;
    }
    let output = reader.join().map_err(|_| anyhow::anyhow!("the reader of qemu's output panicked"))??;
    finish(child)?;
    if !in_time {
        bail!("the machine did not end within {timeout:?}; its script had printed:\n{output}");
    }
    Ok(output)
}

fn finish(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    // Killed is what happens to one that took too long; the caller has more to say. Any other signal is its own end.
    ensure!(status.success() || status.signal() == Some(SIGKILL), "qemu: {status}");
    Ok(())
}

/// What ends a machine that took too long.
const SIGKILL: i32 = 9;

/// Copies what the machine says to stdout as it comes.
fn copy(mut from: impl Read) -> Result<String> {
    let (mut output, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let length = from.read(&mut buffer).context("read the machine's output")?;
        let Some(said) = buffer.get(..length).filter(|said| !said.is_empty()) else {
            return Ok(String::from_utf8_lossy(&output).into_owned());
        };
        output.extend_from_slice(said);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(said).and_then(|()| stdout.flush()).context("copy the machine's output")?;
    }
}

fn command(files: &Files<'_>) -> Result<Command> {
    // Where virtualisation is nested, /dev/kvm may be there and its machines never start: who has it says so.
    let kvm = std::env::var_os("COFFERDAM_KVM").is_some_and(|value| value == "1");
    let processor =
        if kvm { ["-accel", "kvm", "-cpu", "host"] } else { ["-accel", "tcg,thread=multi", "-cpu", "max"] };
    let mut kernel = "console=ttyS0 quiet panic=-1 systemd.unit=payload.target systemd.firstboot=no \
                      cryptomgr.notests no_timer_check random.trust_cpu=on mitigations=off nokaslr"
        .to_owned();
    if !kvm {
        kernel = format!("{kernel} tsc=reliable initcall_blacklist={SKIPPED_INIT_CALLS}");
    }
    // It goes when this process goes, however that ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "qemu-system-x86_64"]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "q35"]);
    command.args(processor).args(["-m", "1536", "-smp", "2"]);
    command.arg("-kernel").arg(files.kernel).arg("-initrd").arg(files.initrd).args(["-append", &kernel]);
    let root = format!("file={},format=raw,if=none,id=root,snapshot=on", path(files.root)?);
    let payload = format!("file={},format=raw,if=none,id=payload,readonly=on", path(files.payload)?);
    command.args(["-drive", &root, "-device", "virtio-blk-pci,drive=root"]);
    command.args(["-drive", &payload, "-device", "virtio-blk-pci,drive=payload"]);
    command.args([
        "-chardev",
        &format!("file,id=console,path={}", path(files.console)?),
        "-serial",
        "chardev:console",
    ]);
    command.args(["-device", "virtio-serial-pci", "-chardev", "stdio,id=terminal,signal=off"]);
    command.args(["-device", "virtconsole,chardev=terminal"]);
    command.args(["-chardev", &format!("file,id=code,path={}", path(files.code)?)]);
    command.args(["-device", "virtserialport,chardev=code,name=code", "-device", "virtio-rng-pci"]);
    Ok(command)
}

/// QEMU's option lists would take a comma for the path's end.
fn path(path: &Path) -> Result<String> {
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(path.replace(',', ",,"))
}
