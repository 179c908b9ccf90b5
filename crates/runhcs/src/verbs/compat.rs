//! `compat`: may an image run on a host, by which rule, and what would work instead? It answers for any host, by
//! default for this one. Exit code 0 allows, 2 refuses; 1 is a wrong question, as for every verb.

use crate::{json, this_host};
use anyhow::{Context as _, bail};
use clap::Args;
use compute::compat::{
    Alternative, Arch, Feature, GrpcCode, Host, Image, Isolation, Place, Pods, Question, Rule, Verdict,
    decide, instead,
};
use serde::Serialize;
use std::io::{self, Write};

/// Tell whether an image runs on a host, why, and what would work instead; exit code 0: it does, 2: it does not.
#[derive(Debug, Args)]
pub(crate) struct Compat {
    /// A host such as 'linux', 'linux/arm64', 'windows-server-2019', 'windows-10-1809' or '10.0.17763.1817/server', of
    /// amd64 unless it says so; this one if not given.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// An image such as 'linux/amd64', 'windows:ltsc2019' or 'windows/amd64:10.0.17763' (may be repeated: the
    /// containers of a pod); one like the host if not given.
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// 'process' or 'hypervisor'; the host's default if not given.
    #[arg(long, value_name = "KIND")]
    isolation: Option<String>,
    /// In a pod with N containers; 0 is only its sandbox.
    #[arg(long, value_name = "N")]
    pod: Option<u32>,
    /// The host has 'hypervisor', 'linux-guest', 'windows-guest', 'emulation' or 'win32k' (may be repeated).
    #[arg(long, value_name = "FEATURE")]
    with: Vec<String>,
    /// The host lacks it (may be repeated).
    #[arg(long, value_name = "FEATURE")]
    without: Vec<String>,
    /// 'text' (default) or 'json'.
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Answer {
    allowed: bool,
    host: String,
    features: Vec<Feature>,
    image: String,
    isolation: Isolation,
    /// Of the pod: which container the answer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<u32>,
    pods: Pods,
    rule: Rule,
    because: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hresult: Option<Hresult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<&'static str>,
    instead: Vec<String>,
}

/// A name and a number.
#[derive(Debug, Serialize)]
struct Hresult {
    name: &'static str,
    code: String,
}

impl Compat {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let (question, verdict) = self.decide()?;
        let answer = answer(&question, verdict);
        let text = match self.format.as_deref() {
            None | Some("text") => text(&answer),
            Some("json") => json::indented(&answer, "  ")? + "\n",
            Some(other) => bail!("invalid value {other:?} for --format: 'text' or 'json' are possible"),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(if answer.allowed { 0 } else { 2 })
    }

    /// The first question that is refused, or the last that is allowed: of a pod, each container is one.
    fn decide(&self) -> anyhow::Result<(Question, Verdict)> {
        let host = self.host()?;
        let isolation = match self.isolation.as_deref() {
            None => None,
            Some("process") => Some(Isolation::Process),
            Some("hypervisor") => Some(Isolation::Hypervisor),
            Some(other) => {
                bail!("invalid value {other:?} for --isolation: 'process' or 'hypervisor' are possible")
            }
        };
        let parse = |image: &String| Image::parse(image, host.arch).context("--image");
        let mut images = self.image.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if images.is_empty() {
            images.push(Image::of_host(&host));
        }
        let containers = match (self.pod, images.len()) {
            (None, 1) => {
                let question = Question { host, image: images[0], isolation, place: Place::Alone };
                return Ok((question, decide(&question)));
            }
            (Some(containers), 1) => containers,
            (containers, several) if containers.is_none_or(|it| it as usize == several) => several as u32,
            (_, several) => bail!("--pod: there are {several} images, one for each container"),
        };
        let question = |number: u32| {
            let image = images.get(number.saturating_sub(1) as usize).unwrap_or(&images[0]);
            let place = Place::Pod { containers: number, uvm: Some(images[0]) };
            let question = Question { host, image: *image, isolation, place };
            (question, decide(&question))
        };
        // Containers of one image after the second fare as the second does.
        let different = containers.min(images.len().max(2) as u32);
        let refused = (0..=different).map(question).find(|(_, verdict)| !verdict.allowed());
        Ok(refused.unwrap_or_else(|| question(containers)))
    }

    fn host(&self) -> anyhow::Result<Host> {
        let mut host = match &self.host {
            Some(text) => Host::parse(text, Arch::Amd64).context("--host")?,
            None => this_host::look().context("look at this host")?,
        };
        for (features, has) in [(&self.with, true), (&self.without, false)] {
            for feature in features {
                let feature =
                    feature.parse().with_context(|| format!("--with{}", if has { "" } else { "out" }))?;
                host.set(feature, has);
            }
        }
        Ok(host)
    }
}

fn answer(question: &Question, verdict: Verdict) -> Answer {
    let Verdict { rule, isolation, pods } = verdict;
    Answer {
        allowed: verdict.allowed(),
        host: question.host.to_string(),
        features: Feature::all().filter(|feature| question.host.has(*feature)).collect(),
        image: question.image.to_string(),
        isolation,
        container: match question.place {
            Place::Alone => None,
            Place::Pod { containers, .. } => Some(containers),
        },
        pods,
        rule,
        because: rule.says(),
        hresult: rule.hresult().map(|it| Hresult { name: it.name(), code: format!("0x{:08X}", it.code()) }),
        grpc: rule.grpc().map(GrpcCode::name),
        instead: instead(question).iter().map(Alternative::to_string).collect(),
    }
}

fn text(answer: &Answer) -> String {
    let Answer { host, image, pods, rule, because, .. } = answer;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.extend([name, value, "\n"]);
    };
    let isolation = answer.isolation.as_str();
    let place = match answer.container {
        None => String::new(),
        Some(0) => ", sandbox of a pod".to_owned(),
        Some(number) => format!(", container {number} of a pod"),
    };
    let verdict = if answer.allowed { "allowed:  " } else { "refused:  " };
    line(verdict, &format!("{image} on {host} by {isolation}{place}"));
    line("rule:     ", &format!("{rule}: {because}"));
    line("pods:     ", pods.as_str());
    let features: Vec<&str> = answer.features.iter().map(|feature| feature.as_str()).collect();
    line("host has: ", &features.join(", "));
    if let Some(Hresult { name, code }) = &answer.hresult {
        line("hresult:  ", &format!("{name} ({code})"));
    }
    if let Some(grpc) = answer.grpc {
        line("grpc:     ", grpc);
    }
    for alternative in &answer.instead {
        line("instead:  ", alternative);
    }
    text
}
