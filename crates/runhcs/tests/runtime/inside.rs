//! Programs that stories run inside containers, where busybox has none: this same static file under another name.

use crate::bundle::Bundle;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sendto, socket};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::ExitCode;

/// The first argument that makes this file such a program.
const WORD: &str = "--inside";

/// Runs the program that the arguments name, if they name one.
pub(crate) fn program() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(WORD) {
        return None;
    }
    let name = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match (name.as_str(), rest.as_slice()) {
        ("notify", [text]) => notify(text),
        ("use-memory", [mebibytes]) => use_memory(mebibytes),
        ("hunt", []) => hunt(),
        _ => Err(format!("no program {name} {rest:?}")),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

impl Bundle {
    /// Puts the programs into the root file system, at `/bin/inside`.
    pub(crate) fn with_programs(self) -> Self {
        let to = self.rootfs().join("bin/inside");
        fs::copy("/proc/self/exe", &to).expect("a copy of the suite");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("a mode");
        self
    }

    /// One of the programs as the process.
    pub(crate) fn inside(self, args: &[&str]) -> Self {
        let mut words = vec!["/bin/inside", WORD];
        words.extend(args);
        self.with_programs().args(&words)
    }
}

/// Tells the service manager something.
fn notify(text: &str) -> Result<(), String> {
    let path = std::env::var("NOTIFY_SOCKET").map_err(|error| format!("NOTIFY_SOCKET: {error}"))?;
    let address = SocketAddrUnix::new(path.as_str()).map_err(|error| format!("{path}: {error}"))?;
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).map_err(|error| error.to_string())?;
    sendto(&socket, text.as_bytes(), rustix::net::SendFlags::empty(), &address)
        .map_err(|error| format!("{path}: {error}"))?;
    println!("told {path}");
    let _ = std::io::stdout().flush();
    Ok(())
}

/// Uses this much memory, page by page.
fn use_memory(mebibytes: &str) -> Result<(), String> {
    let mebibytes: usize = mebibytes.parse().map_err(|error| format!("{mebibytes}: {error}"))?;
    let mut held = vec![0_u8; mebibytes << 20];
    for page in held.chunks_mut(4096) {
        page[0] = 1;
    }
    println!("used {}", held.iter().map(|byte| usize::from(*byte)).sum::<usize>());
    Ok(())
}

/// Looks for programs of others in /proc and spoils them: what an evil image does to the binary of a runtime that
/// comes to visit. Ends when `/stop` exists.
fn hunt() -> Result<(), String> {
    let own = fs::metadata("/proc/self/exe").map_err(|error| error.to_string())?;
    println!("ready");
    let _ = std::io::stdout().flush();
    let mut writing = Vec::new();
    while !fs::exists("/stop").unwrap_or(false) {
        let Ok(entries) = fs::read_dir("/proc") else { continue };
        for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let path = format!("/proc/{pid}/exe");
            let Ok(about) = fs::metadata(&path) else { continue };
            if about.dev() == own.dev() {
                continue;
            }
            // A program that runs cannot be written; one whose descriptor is kept can be, once it has ended.
            if let Ok(kept) = fs::File::open(&path) {
                writing.push(format!("/proc/self/fd/{}", kept.as_raw_fd()));
                std::mem::forget(kept);
            }
        }
        for path in &writing {
            if let Ok(mut file) = fs::File::options().write(true).open(path) {
                println!("opened {path}: {:?}", file.write_all(b"#!/bin/sh\necho owned\n"));
                let _ = std::io::stdout().flush();
            }
        }
        writing.truncate(200);
    }
    println!("kept {}", writing.len());
    Ok(())
}
