//! The command line of `cofferdam`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, LogFormat};
use crate::error::Result;
use crate::serve;

/// Runs pods for Kubernetes: the CRI runtime and image services
#[derive(Parser)]
#[command(name = "cofferdam", version)]
struct CommandLine {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Globals {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What outlives a reboot
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// What does not
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The interface's socket
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the interface until a signal asks to end; pods go on without it
    Serve,
    /// Show or check the configuration
    Config {
        /// What to do with it
        #[arg(value_enum)]
        what: ConfigCommand,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ConfigCommand {
    /// Print the defaults
    Default,
    /// Say what is wrong with the file, if anything
    Check,
    /// Print what would be used
    Show,
}

/// Runs the command line; the exit code.
pub fn run() -> i32 {
    let line = CommandLine::parse();
    match execute(line) {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("cofferdam: {}", crate::error::chain(&error)));
            1
        }
    }
}

fn execute(line: CommandLine) -> Result<()> {
    if let Command::Config { what: ConfigCommand::Default } = line.command {
        return print(&Config::default().to_toml()?);
    }
    let config = line.globals.config()?;
    match line.command {
        Command::Serve => {
            log(&config);
            runtime()?.block_on(serve::serve(config))
        }
        Command::Config { what: ConfigCommand::Show } => print(&config.to_toml()?),
        Command::Config { .. } => Ok(()),
    }
}

impl Globals {
    /// The file's configuration with what the command line says over it.
    fn config(&self) -> Result<Config> {
        let mut config = Config::read(self.config.as_deref())?;
        if let Some(root) = &self.root {
            config.root.clone_from(root);
        }
        if let Some(state) = &self.state {
            config.state.clone_from(state);
        }
        if let Some(socket) = &self.socket {
            config.grpc.socket.clone_from(socket);
        }
        config.check()?;
        Ok(config)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    use crate::error::Attempt as _;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(512 << 10)
        .build()
        .attempt(|| "start the executor".to_owned())
}

fn log(config: &Config) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::new(&config.log.level);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    match config.log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

fn print(text: &str) -> Result<()> {
    use crate::error::Attempt as _;
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).attempt(|| "print".to_owned())
}

#[expect(clippy::print_stderr, reason = "a command line's errors go there")]
fn say(text: &str) {
    eprintln!("{text}");
}
