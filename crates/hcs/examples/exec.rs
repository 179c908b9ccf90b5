//! Runs a command in a container that runs already, copies its output, and ends with its exit code.
//!
//! ```text
//! cargo run --example exec -- CONTAINER cmd /c "echo hello"
//! ```
//!
//! Without arguments it makes a container of the in-memory service's kind, in which `say` and `cat` are commands.

mod host;

use hcs::documents::{Container, ProcessParameters, StartOptions};
use hcs::service::{ComputeService, Configuration, System};
use std::error::Error;
use std::io::Write as _;

fn main() -> Result<(), Box<dyn Error>> {
    let service = host::compute_service()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (system, command, input) = match arguments.split_first() {
        Some((id, command)) => (service.open_system(id)?, command.join(" "), None),
        None => (own(&*service)?, "cat".to_owned(), Some("what goes in comes out")),
    };

    let parameters = ProcessParameters::new()
        .command_line(command)
        .create_std_in_pipe(true)
        .create_std_out_pipe(true)
        .create_std_err_pipe(true);
    let (process, created) = system.create_process(&parameters)?;
    let exit = process.exit()?;
    let information = created.wait()?;
    println!("process {}", information.process_id);

    let stdio = information.stdio;
    if let Some(mut pipe) = stdio.input {
        // Dropping the pipe ends the input.
        pipe.write_all(input.unwrap_or_default().as_bytes())?;
    }
    // Two pipes are read by two threads: a process that fills one of them waits.
    let errors = std::thread::spawn(move || {
        stdio.error.map_or(Ok(0), |mut pipe| std::io::copy(&mut pipe, &mut std::io::stderr()))
    });
    if let Some(mut pipe) = stdio.output {
        std::io::copy(&mut pipe, &mut std::io::stdout())?;
    }
    errors.join().map_err(|_| "the thread that reads errors panicked")??;

    let code = exit.wait()?.exit_code.unwrap_or_default();
    println!("\nexit code {code}");
    if arguments.is_empty() {
        system.terminate()?.wait()?;
    }
    std::process::exit(i32::try_from(code).unwrap_or(255));
}

fn own(service: &dyn ComputeService) -> Result<Box<dyn System>, hcs::Error> {
    let document = host::document().container(Container::new());
    let (system, created) = service.create_system("example-exec", &Configuration::from(document))?;
    created.wait()?;
    system.start(&StartOptions::new())?.wait()?;
    Ok(system)
}
