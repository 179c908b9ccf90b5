//! The figures, taken in rounds: in each round every contestant does everything once, and the next round starts
//! with another one. So what the machine does besides hits all of them alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::measure::{self, Spent};
use super::{Contestant, Plan, bundle};

const WORKERS: usize = 10;
const RUNS_PER_WORKER: usize = 5;
/// Rounds that are not counted: the first of each contestant reads its program from disk.
const WARM_UP: usize = 3;

/// The verbs that are timed, in the order in which a container goes through them.
pub(crate) const TIMED: [&str; 7] = ["run true", "create", "start", "exec", "state", "kill+delete", "list"];

/// What one contestant needed.
#[derive(Default, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// For each timed verb, its samples in milliseconds.
    pub(crate) wall_ms: BTreeMap<String, Vec<f64>>,
    pub(crate) cpu_ms: BTreeMap<String, Vec<f64>>,
    pub(crate) containers_per_second: Vec<f64>,
    pub(crate) peak_kib: Vec<f64>,
    pub(crate) init_private_kib: Vec<f64>,
    pub(crate) binary_kib: f64,
    /// What it could not do, each error once.
    pub(crate) failures: BTreeMap<String, usize>,
}

impl Figures {
    fn add(&mut self, verb: &str, spent: Spent) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        self.wall_ms.entry(verb.to_owned()).or_default().push(ms(spent.wall));
        self.cpu_ms.entry(verb.to_owned()).or_default().push(ms(spent.cpu));
    }

    /// Takes in a sample, or counts the failure to get one.
    fn take<T>(&mut self, sample: Result<T>, add: impl FnOnce(&mut Figures, T)) {
        match sample {
            Ok(sample) => add(self, sample),
            Err(error) => *self.failures.entry(format!("{error:#}")).or_default() += 1,
        }
    }
}

/// Measures everything. `floor` in the result is the kernel's own price of six namespaces, exec and wait.
pub(crate) fn take(plan: &Plan, work: &Path) -> Result<BTreeMap<String, Figures>> {
    measure::adopt_orphans()?;
    let busybox = work.join("busybox");
    bundle::write(&work.join("true"), &busybox, &["/bin/true"])?;
    bundle::write(&work.join("wait"), &busybox, &["/bin/sleep", "1000"])?;
    let stages: Vec<Stage<'_>> =
        plan.contestants.iter().map(|contestant| Stage::new(contestant, work)).collect();
    let mut figures: Vec<Figures> = stages.iter().map(|_| Figures::default()).collect();
    let mut floor = Figures::default();

    eprintln!("{} rounds of {} contestants", plan.rounds, stages.len());
    for round in 0..plan.rounds + WARM_UP {
        for turn in 0..stages.len() {
            let at = (round + turn) % stages.len();
            if let (Some(stage), Some(figures)) = (stages.get(at), figures.get_mut(at)) {
                let mut once = Figures::default();
                let result = stage.round(round, if round < WARM_UP { &mut once } else { figures });
                figures.take(result.inspect_err(|_| stage.clear()), |_, ()| {});
            }
        }
        if round >= WARM_UP {
            floor.add("run true", measure::floor(c"/mnt/busybox", &[c"true"])?);
        }
    }
    lists(plan, &stages, &mut figures);
    throughput(plan, &stages, &mut figures);
    stages.iter().for_each(Stage::clear);
    for (stage, figures) in stages.iter().zip(&mut figures) {
        figures.binary_kib =
            fs::metadata(&stage.contestant.program).map_or(0, |file| file.len()) as f64 / 1024.0;
    }
    let names = stages.iter().map(|stage| stage.contestant.name.clone());
    Ok(names.zip(figures).chain([("floor".to_owned(), floor)]).collect())
}

fn lists(plan: &Plan, stages: &[Stage<'_>], figures: &mut [Figures]) {
    eprintln!("list of {}", plan.listed);
    for (stage, figures) in stages.iter().zip(&mut *figures) {
        let all = (0..plan.listed)
            .try_for_each(|n| stage.create(&format!("{}-listed-{n}", stage.contestant.name)).map(|_| ()));
        figures.take(all, |_, ()| {});
    }
    for _ in 0..plan.rounds {
        for (stage, figures) in stages.iter().zip(&mut *figures) {
            let result = stage.run(stage.verb("list"));
            figures.take(result, |figures, spent| figures.add("list", spent));
        }
    }
    for stage in stages {
        stage.clear();
    }
}

fn throughput(plan: &Plan, stages: &[Stage<'_>], figures: &mut [Figures]) {
    eprintln!("{} containers by {WORKERS} workers", WORKERS * RUNS_PER_WORKER);
    for round in 0..plan.rounds.div_ceil(10) {
        for (stage, figures) in stages.iter().zip(&mut *figures) {
            let begun = Instant::now();
            let result = thread::scope(|scope| {
                let workers: Vec<_> =
                    (0..WORKERS).map(|worker| scope.spawn(move || stage.many(round, worker))).collect();
                workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
            });
            let containers = (WORKERS * RUNS_PER_WORKER) as f64;
            let per_second = containers / begun.elapsed().as_secs_f64();
            figures.take(result, |figures, ()| figures.containers_per_second.push(per_second));
        }
    }
}

/// A contestant with its own state folder.
struct Stage<'a> {
    contestant: &'a Contestant,
    work: &'a Path,
    state: PathBuf,
}

impl<'a> Stage<'a> {
    fn new(contestant: &'a Contestant, work: &'a Path) -> Stage<'a> {
        Stage { contestant, work, state: Path::new("/run").join(&contestant.name) }
    }

    fn verb(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.contestant.program);
        command.arg("--root").arg(&self.state).arg(verb);
        command
    }

    /// Runs a command with its complaints in a file; the last of them is the reason if it fails.
    fn run(&self, mut command: Command) -> Result<Spent> {
        let said = self.state.with_extension(format!("{:?}.said", thread::current().id()));
        let file = fs::File::create(&said).with_context(|| format!("create {}", said.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        measure::run(&mut command).with_context(|| {
            let said = fs::read_to_string(&said).unwrap_or_default();
            let verb = command.get_args().nth(2).unwrap_or_default();
            format!("{}: {}", verb.display(), said.lines().next_back().unwrap_or("without a word"))
        })
    }

    fn bundle(&self, verb: &str, bundle: &str) -> Command {
        let mut command = self.verb(verb);
        command.arg("--bundle").arg(self.work.join(bundle));
        command
    }

    /// One container through its life, and one that only runs.
    fn round(&self, round: usize, figures: &mut Figures) -> Result<()> {
        let id = format!("{}-{round}", self.contestant.name);
        figures.add("run true", self.run(with(self.bundle("run", "true"), &[&id]))?);
        let (pid, created) = self.create(&id)?;
        figures.add("create", created);
        figures.init_private_kib.push(private_kib(pid)?);
        figures.add("state", self.run(with(self.verb("state"), &[&id]))?);
        figures.add("start", self.run(with(self.verb("start"), &[&id]))?);
        figures.add("exec", self.run(with(self.verb("exec"), &[&id, "/bin/true"]))?);
        let begun = Instant::now();
        let kill = self.run(with(self.verb("kill"), &[&id, "KILL"]))?;
        measure::reap(pid)?;
        let delete = self.run(with(self.verb("delete"), &[&id]))?;
        figures.add("kill+delete", Spent { wall: begun.elapsed(), cpu: kill.cpu + delete.cpu, peak_kib: 0 });
        figures.peak_kib.push(self.peak(&id)?);
        Ok(())
    }

    /// Creates a container that waits; its init, and what was spent on both sides until then.
    fn create(&self, id: &str) -> Result<(i32, Spent)> {
        let pid_file = Path::new("/run").join(format!("{id}.pid"));
        let mut create = self.bundle("create", "wait");
        create.arg("--pid-file").arg(&pid_file).arg(id);
        let spent = self.run(create)?;
        let pid = fs::read_to_string(&pid_file).with_context(|| format!("read {}", pid_file.display()))?;
        let pid = pid.trim().parse().with_context(|| format!("{pid:?} in {}", pid_file.display()))?;
        // Half of the work is done by init, for which nobody has waited yet.
        Ok((pid, Spent { cpu: spent.cpu + on_processor(pid)?, ..spent }))
    }

    fn many(&self, round: usize, worker: usize) -> Result<()> {
        for n in 0..RUNS_PER_WORKER {
            let id = format!("{}-many-{round}-{worker}-{n}", self.contestant.name);
            self.run(with(self.bundle("run", "true"), &[&id]))?;
        }
        Ok(())
    }

    /// Peak memory of a run in KiB. The kernel counts the memory of whoever called exec as the new program's, so a
    /// process smaller than any contestant has to start it.
    fn peak(&self, id: &str) -> Result<f64> {
        let file = Path::new("/run").join(format!("{id}.peak"));
        let run = self.bundle("run", "true");
        let mut gauge = Command::new(self.work.join("xtask"));
        gauge.args(["bench", "gauge"]).arg(&file).arg(run.get_program()).args(run.get_args()).arg(id);
        self.run(gauge)?;
        let peak = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        peak.trim().parse().with_context(|| format!("{peak:?} in {}", file.display()))
    }

    /// Removes every container that is left.
    fn clear(&self) {
        let folders = fs::read_dir(&self.state).into_iter().flatten().flatten();
        for id in folders.map(|entry| entry.file_name()) {
            let _ = self.verb("delete").arg("--force").arg(id).stderr(Stdio::null()).status();
        }
    }
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// Processor time of a process so far.
fn on_processor(pid: i32) -> Result<Duration> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Ok(Duration::from_nanos(nanos.with_context(|| format!("no number in {path}"))?))
}

/// Memory that only this process has, in KiB.
fn private_kib(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(sum_private(&text))
}

fn sum_private(smaps: &str) -> f64 {
    let private = smaps.lines().filter(|line| line.starts_with("Private_"));
    private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_clean_and_dirty_together() {
        let smaps = "Rss:  900 kB\nShared_Clean: 500 kB\nPrivate_Clean:   10 kB\nPrivate_Dirty:  32 kB\n";
        assert!((sum_private(smaps) - 42.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_processor_time_of_this_process_is_known() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(on_processor(pid).unwrap() > Duration::ZERO);
        assert!(private_kib(pid).unwrap() > 0.0);
    }
}
