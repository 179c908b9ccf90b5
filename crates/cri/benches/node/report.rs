//! The figures as Markdown and as JSON: medians, ratios to containerd with runc, and whether the goals are met.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::figures::{Figures, Goal};
use crate::image::Built;

const OURS: &str = "cofferdam";
const MEASURE: &str = "containerd+runc";
const CONTESTANTS: [&str; 3] = [OURS, MEASURE, "containerd+crun"];

/// Writes `STEM.md` and `STEM.json`, and prints the former.
pub(crate) fn write(figures: &Figures, images: &Built, stem: &Path) -> Result<()> {
    let page = markdown(figures, images);
    eprintln!("\n{page}");
    let json = serde_json::to_vec_pretty(figures).context("write the figures")?;
    for (extension, content) in [("md", page.as_bytes()), ("json", json.as_slice())] {
        let file = stem.with_extension(extension);
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn markdown(figures: &Figures, images: &Built) -> String {
    let mut page = String::new();
    let _ = writeln!(
        page,
        "Medians. The large image: {} MB in 5 layers, {} MB compressed.\n",
        images.unpacked_bytes / 1_000_000,
        images.compressed_bytes / 1_000_000
    );
    let _ = writeln!(page, "| | {} | {OURS} ÷ {MEASURE} | goal |", CONTESTANTS.join(" | "));
    let _ = writeln!(page, "|---|{}", "---:|".repeat(CONTESTANTS.len() + 2));
    let compared = |what: &&String| figures.median(what, MEASURE).is_some();
    for what in figures.order.iter().filter(compared) {
        let _ = write!(page, "| {what} |");
        for who in CONTESTANTS {
            let _ = write!(page, " {} |", number(figures.median(what, who)));
        }
        let ratio =
            figures.median(what, OURS).zip(figures.median(what, MEASURE)).map(|(our, their)| our / their);
        let _ = writeln!(page, " {} | {} |", number(ratio), verdict(figures.goals.get(what), ratio));
    }
    let _ = writeln!(page, "\n| ours alone, and floors | | |\n|---|---|---:|");
    for what in figures.order.iter().filter(|what| !compared(what)) {
        let who = figures.samples.get(what).into_iter().flat_map(|samples| samples.keys());
        let mut rows: Vec<(f64, &String)> = who
            .map(|who| (who.split(' ').next().and_then(|size| size.parse().ok()).unwrap_or(0.0), who))
            .collect();
        rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (_, who) in rows {
            let _ = writeln!(page, "| {what} | {who} | {} |", number(figures.median(what, who)));
        }
    }
    page
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn verdict(goal: Option<&Goal>, ratio: Option<f64>) -> String {
    let (text, met) = match (goal, ratio) {
        (Some(Goal::AtMost(most)), Some(ratio)) => (format!("≤ {most}"), ratio <= *most),
        (Some(Goal::AtLeast(least)), Some(ratio)) => (format!("≥ {least}"), ratio >= *least),
        _ => return String::new(),
    };
    format!("{text} {}", if met { "met" } else { "missed" })
}
