//! The figures as Markdown: medians, ratios to crun and to the floor, and whether the promised goals are met.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::figures::{Figures, TIMED};

type All = BTreeMap<String, Figures>;

const OURS: &str = "runhcs";
const MEASURE: &str = "crun";
const FLOOR: &str = "floor";

/// What SPECIFICATION.md promises of each timed verb, as a ratio to crun.
const GOALS: [(&str, f64); 7] = [
    ("run true", 0.7),
    ("create", 0.7),
    ("start", 0.9),
    ("exec", 0.9),
    ("state", 0.9),
    ("kill+delete", 0.9),
    ("list", 0.9),
];

/// Renders the tables.
pub(crate) fn markdown(all: &All, order: &[String]) -> String {
    let mut page = String::new();
    let samples = all.get(MEASURE).or(all.get(OURS)).and_then(|figures| figures.wall_ms.get("run true"));
    let _ = writeln!(page, "Medians of {} interleaved rounds.\n", samples.map_or(0, Vec::len));
    page.push_str("Wall time, ms:\n\n");
    timed(all, order, |figures| &figures.wall_ms, &mut page);
    page.push_str(
        "\nProcess time (user + system, of the runtime and, where it is still waiting, of init), ms:\n\n",
    );
    timed(all, order, |figures| &figures.cpu_ms, &mut page);
    page.push_str("\nOther figures:\n\n");
    others(all, order, &mut page);
    failures(all, &mut page);
    page
}

fn timed(all: &All, order: &[String], of: fn(&Figures) -> &BTreeMap<String, Vec<f64>>, page: &mut String) {
    head(order, &[&format!("{OURS} ÷ {MEASURE}"), "goal", &format!("{OURS} ÷ {FLOOR}")], page);
    let median_of = |name: &str, verb: &str| all.get(name).and_then(|figures| median(of(figures).get(verb)?));
    for verb in TIMED {
        let _ = write!(page, "| {verb} |");
        for name in order {
            let _ = write!(page, " {} |", number(median_of(name, verb), 2));
        }
        let ours = median_of(OURS, verb);
        let to_crun = ratio(ours, median_of(MEASURE, verb));
        let goal = GOALS.iter().find(|(name, _)| *name == verb).map(|(_, goal)| *goal);
        let floor = ratio(ours, median_of(FLOOR, "run true"));
        let _ =
            writeln!(page, " {} | {} | {} |", number(to_crun, 2), at_most(to_crun, goal), number(floor, 1));
    }
    let _ = writeln!(
        page,
        "\n{FLOOR} (clone into six namespaces, exec, wait): {}",
        number(median_of(FLOOR, "run true"), 2)
    );
}

fn others(all: &All, order: &[String], page: &mut String) {
    type Read = fn(&Figures) -> Option<f64>;
    let rows: [(&str, Read, Goal); 4] = [
        (
            "containers per second, 10 workers",
            |figures| median(&figures.containers_per_second),
            Goal::AtLeast(1.3),
        ),
        ("peak memory of run, KiB", |figures| median(&figures.peak_kib), Goal::AtMost(1.0)),
        (
            "private memory of a waiting init, KiB",
            |figures| median(&figures.init_private_kib),
            Goal::AtMost(1.0),
        ),
        ("program, KiB", |figures| Some(figures.binary_kib), Goal::Program(4096.0)),
    ];
    head(order, &[&format!("{OURS} ÷ {MEASURE}"), "goal"], page);
    for (title, read, goal) in rows {
        let _ = write!(page, "| {title} |");
        for name in order {
            let _ = write!(page, " {} |", number(all.get(name).and_then(read), 0));
        }
        let to_crun = ratio(all.get(OURS).and_then(read), all.get(MEASURE).and_then(read));
        let goal = match goal {
            Goal::AtMost(most) => at_most(to_crun, Some(most)),
            Goal::AtLeast(least) => verdict(format!("≥ {least}"), to_crun.map(|ratio| ratio >= least)),
            Goal::Program(most) => {
                verdict(format!("≤ {most} KiB"), all.get(OURS).and_then(read).map(|size| size <= most))
            }
        };
        let _ = writeln!(page, " {} | {goal} |", number(to_crun, 2));
    }
}

enum Goal {
    /// Of the ratio to crun.
    AtMost(f64),
    AtLeast(f64),
    /// Of ours by itself.
    Program(f64),
}

fn failures(all: &All, page: &mut String) {
    let failures =
        all.iter().flat_map(|(name, figures)| figures.failures.iter().map(move |failure| (name, failure)));
    for (name, (error, times)) in failures {
        let _ = writeln!(page, "\n{name} failed {times} times: {error}");
    }
}

fn head(order: &[String], more: &[&str], page: &mut String) {
    let columns: Vec<&str> = order.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let _ = writeln!(page, "| | {} |", columns.join(" | "));
    let _ = writeln!(page, "|---|{}", "---:|".repeat(columns.len()));
}

fn at_most(ratio: Option<f64>, most: Option<f64>) -> String {
    let Some(most) = most else { return "–".to_owned() };
    verdict(format!("≤ {most}"), ratio.map(|ratio| ratio <= most))
}

fn verdict(goal: String, met: Option<bool>) -> String {
    match met {
        Some(true) => format!("{goal} met"),
        Some(false) => format!("{goal} **missed**"),
        None => goal,
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b.filter(|b| *b > 0.0)?)
}

/// The middle of the samples; `None` if there are none.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(*upper);
    }
    Some((sorted.get(sorted.len() / 2 - 1)? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(run: &[f64]) -> Figures {
        let samples = BTreeMap::from([("run true".to_owned(), run.to_vec())]);
        Figures { wall_ms: samples.clone(), cpu_ms: samples, ..Figures::default() }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn goals_are_judged_against_crun_of_the_same_run() {
        let all = All::from([
            ("runhcs".to_owned(), figures(&[6.0])),
            ("crun".to_owned(), figures(&[10.0])),
            ("floor".to_owned(), figures(&[2.0])),
        ]);
        let page = markdown(&all, &["runhcs".to_owned(), "crun".to_owned()]);
        assert!(page.contains("| run true | 6.00 | 10.00 | 0.60 | ≤ 0.7 met | 3.0 |"), "{page}");
        assert!(page.contains("| create | – | – | – | ≤ 0.7 | – |"), "{page}");
    }
}
