//! `compat`: may an image run on a host, by which rule, and what would work instead? It answers for any host, by
//! default for this one. Exit code 0 allows, 2 refuses; 1 is a wrong question, as for every verb.

use crate::this_host;
use anyhow::{anyhow, bail};
use clap::Args;
use compute::compat::{GrpcCode, Host, Image, Isolation, Place, Question, Unknown, Verdict, decide, instead};
use std::fmt::Display;
use std::io::{self, Write};

/// Tell whether an image can run on a host (exit code 0) or not (2), why, and what would work instead.
#[derive(Debug, Args)]
pub(crate) struct Compat {
    /// 'this' (default), 'linux', 'windows-server-2019', 'windows-10-1809', '10.0.17763/server' and so on; behind it
    /// '/arm64', '/emulation', '/windows-guest', '/no-hypervisor', '/no-linux-guest'.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// 'linux', 'linux/arm64', 'windows:ltsc2019', 'windows/amd64:10.0.17763' and so on (may be repeated:
    /// containers of a pod); one like the host if not given.
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// 'process' or 'hypervisor'; the host's default if not given.
    #[arg(long, value_name = "KIND")]
    isolation: Option<String>,
    /// In a pod with N containers; 0 is only its sandbox.
    #[arg(long, value_name = "N")]
    pod: Option<u16>,
    /// 'text' (default) or 'json'.
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

impl Compat {
    pub(crate) fn run(self) -> anyhow::Result<u8> {
        let mut page = match self.format.as_deref() {
            None | Some("text") => Page { json: false, text: String::new() },
            Some("json") => Page { json: true, text: String::new() },
            Some(other) => bail!("invalid value {other:?} for --format: 'text' or 'json' are possible"),
        };
        let (question, verdict) = self.decide()?;
        answer(&question, verdict, &mut page);
        io::stdout().write_all(page.text.as_bytes())?;
        Ok(if verdict.allowed() { 0 } else { 2 })
    }

    /// The first question that is refused, or the last that is allowed: of a pod, each container is one.
    // Apart from the other verbs, whose large stack frame makes each access to it longer.
    #[inline(never)]
    fn decide(&self) -> anyhow::Result<(Question, Verdict)> {
        let isolation = match self.isolation.as_deref() {
            None => None,
            Some("process") => Some(Isolation::Process),
            Some("hypervisor") => Some(Isolation::Hypervisor),
            Some(other) => {
                bail!("invalid value {other:?} for --isolation: 'process' or 'hypervisor' are possible")
            }
        };
        let (host, images) = self.platforms().map_err(|unknown| anyhow!("{unknown}"))?;
        let several = images.len() as u32;
        let mut question = Question { host, image: images[0], isolation, place: Place::Alone };
        let containers = match self.pod {
            None if several == 1 => return Ok((question, decide(&question))),
            None => several,
            Some(containers) => containers.into(),
        };
        // Containers beyond the images are of the last one, and fare all as the first of these does.
        let mut number = 0_u32;
        loop {
            let last = &images[images.len() - 1];
            question.image = *images.get(number.saturating_sub(1) as usize).unwrap_or(last);
            question.place = Place::Pod { containers: number, uvm: Some(images[0]) };
            let verdict = decide(&question);
            if number >= containers || !verdict.allowed() {
                return Ok((question, verdict));
            }
            number = if number > several { containers } else { number + 1 };
        }
    }

    /// The host, and at least one image.
    fn platforms(&self) -> Result<(Host, Vec<Image>), Unknown> {
        let host = Host::parse(self.host.as_deref().unwrap_or("this"), &this_host::look()?)?;
        let mut images = Vec::new();
        for image in &self.image {
            images.push(Image::parse(image, host.arch)?);
        }
        if images.is_empty() {
            images.push(Image::of_host(&host));
        }
        Ok((host, images))
    }
}

/// Lines of a name and a value, or the same as a JSON object.
struct Page {
    json: bool,
    text: String,
}

impl Page {
    /// Values are the matrix's own words and sentences, in which JSON has nothing to escape.
    fn put(&mut self, name: &str, quote: &str, value: &dyn Display) {
        let line = match (self.json, self.text.is_empty()) {
            (false, _) => format!("{name:<13}{value}\n"),
            (true, true) => format!("{{\n  \"{name}\": {quote}{value}{quote}"),
            (true, false) => format!(",\n  \"{name}\": {quote}{value}{quote}"),
        };
        self.text.push_str(&line);
    }

    fn word(&mut self, name: &str, value: &dyn Display) {
        self.put(name, "\"", value);
    }

    /// What JSON writes without quotes.
    fn bare(&mut self, name: &str, value: &dyn Display) {
        self.put(name, "", value);
    }
}

// Apart, as `decide`.
#[inline(never)]
fn answer(question: &Question, verdict: Verdict, page: &mut Page) {
    let Verdict { rule, isolation, pods } = verdict;
    page.bare("allowed", &verdict.allowed());
    page.word("image", &question.image);
    page.word("host", &question.host);
    page.word("isolation", &isolation.as_str());
    if let Place::Pod { containers, .. } = question.place {
        page.bare("container", &containers);
    }
    page.word("pods", &pods.as_str());
    page.word("rule", &rule.id());
    page.word("because", &rule.says());
    if let Some(hresult) = rule.hresult() {
        page.word("hresult", &hresult.name());
        page.word("hresultCode", &format_args!("{:#x}", hresult.code()));
    }
    if let Some(code) = rule.grpc().map(GrpcCode::name) {
        page.word("grpc", &code);
    }
    let mut list = String::new();
    for alternative in instead(question) {
        if page.json {
            list.push_str(&format!("{}\"{alternative}\"", if list.is_empty() { "" } else { ", " }));
        } else {
            page.word("instead", &alternative);
        }
    }
    if page.json {
        page.bare("instead", &format_args!("[{list}]"));
        page.text.push_str("\n}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::compat::{Arch, Rule, System, builds::RELEASES};

    #[test]
    fn nothing_needs_to_be_escaped() {
        let special = |text: &str| text.contains(['"', '\\']) || text.chars().any(char::is_control);
        for rule in Rule::all() {
            assert!(!special(rule.says()) && !special(rule.id()), "{rule}");
        }
        assert!(!RELEASES.iter().any(|release| release.names().any(special)));
    }

    #[test]
    fn an_answer_is_a_document() {
        let host = Host::parse("windows-server-2019", &Host::new(System::Linux, Arch::Amd64)).unwrap();
        let image = Image::parse("windows:1803", Arch::Amd64).unwrap();
        let place = Place::Pod { containers: 2, uvm: None };
        for isolation in [None, Some(Isolation::Hypervisor)] {
            let question = Question { host, image, isolation, place };
            let mut page = Page { json: true, text: String::new() };
            answer(&question, decide(&question), &mut page);
            let value: serde_json::Value = serde_json::from_str(&page.text).unwrap();
            assert_eq!(value["container"], 2);
            assert!(value["instead"].as_array().is_some_and(|instead| !instead.is_empty()), "{value}");
        }
    }
}
