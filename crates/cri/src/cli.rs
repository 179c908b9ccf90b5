//! The command line of `cofferdam`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::run::Wanted;
use crate::commands::{self, Client, print};
use crate::config::{Config, LogFormat};
use crate::error::Result;
use crate::serve;
use crate::traces::{self, Traces};

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
    /// Say what this host lacks for running pods, and what to do
    Doctor,
    /// List images, or pull or remove one
    Images {
        #[command(subcommand)]
        what: Option<ImagesCommand>,
    },
    /// List pods and their containers
    Pods,
    /// Run a command in a pod of its own, which goes when the command ends
    Run {
        /// The runtime handler
        #[arg(long, default_value = "", hide_default_value = true)]
        handler: String,
        /// Use the host's network
        #[arg(long)]
        host_network: bool,
        /// The image
        image: String,
        /// The command, instead of the image's
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Remove images that no container is made of
    Gc,
    /// Write what somebody who helps wants to see to an archive
    SupportBundle {
        /// The archive
        #[arg(default_value = "cofferdam-support.tar")]
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ImagesCommand {
    /// Pull an image
    Pull {
        /// Its name
        image: String,
    },
    /// Remove an image
    Remove {
        /// Its name or id
        image: String,
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
        Ok(code) => code,
        Err(error) => {
            say(&format!("cofferdam: {}", crate::error::chain(&error)));
            1
        }
    }
}

fn execute(line: CommandLine) -> Result<i32> {
    if let Command::Config { what: ConfigCommand::Default } = line.command {
        print(&Config::default().to_toml()?)?;
        return Ok(0);
    }
    let config = line.globals.config()?;
    match line.command {
        Command::Serve => {
            let runtime = runtime()?;
            let traces = Traces::open(&config.tracing, runtime.handle())?;
            log(&config, traces.as_ref());
            let served = runtime.block_on(serve::serve(config));
            if let Some(traces) = traces {
                traces.close();
            }
            served?;
        }
        Command::Config { what: ConfigCommand::Show } => print(&config.to_toml()?)?,
        // That it was read is the check.
        Command::Config { .. } => {}
        Command::Doctor => commands::doctor::doctor(&config)?,
        Command::SupportBundle { file } => {
            runtime()?.block_on(commands::support_bundle::support_bundle(&config, &file))?;
        }
        command => return runtime()?.block_on(ask(&config, command)),
    }
    Ok(0)
}

/// The commands that are a client's.
async fn ask(config: &Config, command: Command) -> Result<i32> {
    let mut client = Client::connect(&config.grpc.socket).await?;
    let client = &mut client;
    match command {
        Command::Images { what: None } => commands::images::images(client).await?,
        Command::Images { what: Some(ImagesCommand::Pull { image }) } => {
            commands::images::pull(client, &image).await?;
        }
        Command::Images { what: Some(ImagesCommand::Remove { image }) } => {
            commands::images::remove(client, &image).await?;
        }
        Command::Pods => commands::pods::pods(client).await?,
        Command::Gc => commands::gc::gc(client).await?,
        Command::Run { handler, host_network, image, command } => {
            let wanted = Wanted { image, command, handler, host_network };
            return commands::run::run(client, &config.state, &wanted).await;
        }
        Command::Serve | Command::Config { .. } | Command::Doctor | Command::SupportBundle { .. } => {}
    }
    Ok(0)
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

fn log(config: &Config, traces: Option<&Traces>) {
    use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = EnvFilter::new(&config.log.level).and(filter_fn(traces::is_for_logs));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match config.log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.map(Traces::layer)).init();
}

#[expect(clippy::print_stderr, reason = "a command line's errors go there")]
fn say(text: &str) {
    eprintln!("{text}");
}
