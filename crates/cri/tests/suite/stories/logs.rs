//! Logs, as the kubelet reads them.

use std::fs;

use cri::wire::v1::ReopenContainerLogRequest;

use crate::leftovers::eventually;
use crate::pod::{Container, World, lines};
use crate::story::{Story, story};

pub(crate) const STORIES: &[Story] = &[
    story!(lines_have_a_stream_and_a_time),
    story!(a_long_line_is_written_in_parts),
    story!(a_line_without_an_end_is_a_line_at_the_end),
    story!(a_terminal_s_output_is_all_one_stream),
    story!(a_log_is_gone_on_with_in_a_new_file),
    story!(an_ended_container_s_log_is_not_opened_again),
    story!(a_container_without_a_log_runs),
    story!(bytes_that_are_no_text_are_kept),
    story!(everything_is_in_the_log_when_the_container_has_ended),
];

fn lines_have_a_stream_and_a_time(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("echo out; sleep 0.1; echo err >&2; sleep 0.1; echo; echo '  spaces  '");
    container.exited();
    let expected = [("stdout", "out"), ("stderr", "err"), ("stdout", ""), ("stdout", "  spaces  ")];
    let expected: Vec<_> = expected
        .iter()
        .map(|(stream, content)| ((*stream).to_owned(), "F".to_owned(), (*content).to_owned()))
        .collect();
    assert_eq!(container.lines(), expected);
    let text = fs::read_to_string(&container.log).unwrap();
    let mut times: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    let as_written = times.clone();
    times.sort_unstable();
    assert_eq!(times, as_written);
}

fn a_long_line_is_written_in_parts(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("head -c 40000 /dev/zero | tr '\\0' x; echo; echo short");
    container.exited();
    let parts: Vec<(String, usize)> =
        container.lines().iter().map(|(_, tag, content)| (tag.clone(), content.len())).collect();
    let expected = [("P", 16384), ("P", 16384), ("F", 7232), ("F", 5)];
    assert_eq!(parts, expected.map(|(tag, length)| (tag.to_owned(), length)));
}

fn a_line_without_an_end_is_a_line_at_the_end(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("printf 'no end'");
    container.exited();
    let lines = container.lines();
    assert_eq!(lines.iter().map(|(_, _, content)| content.as_str()).collect::<String>(), "no end");
}

fn a_terminal_s_output_is_all_one_stream(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start_with("tty; echo err >&2", |config| config.tty = true);
    container.exited();
    let lines = container.lines();
    assert!(lines.iter().all(|(stream, _, _)| stream == "stdout"), "{lines:?}");
    let contents: Vec<&str> = lines.iter().map(|(_, _, content)| content.trim_end()).collect();
    assert_eq!(contents.len(), 2, "{lines:?}");
    assert!(contents[0].starts_with("/dev/"), "{lines:?}");
    assert_eq!(contents[1], "err");
}

fn reopen(container: &Container<'_>) -> Result<(), tonic::Status> {
    let request = ReopenContainerLogRequest { container_id: container.id.clone() };
    container.world.client.reopen_container_log(request).map(drop)
}

fn a_log_is_gone_on_with_in_a_new_file(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done");
    container.says("line 3");
    let old = container.log.with_extension("old");
    fs::rename(&container.log, &old).unwrap();
    reopen(&container).unwrap();
    let read = |path| lines(&fs::read_to_string(path).unwrap_or_default());
    eventually("lines in the new file", || read(&container.log).len() > 3);
    container.stop(0).unwrap();
    // None is lost and none is there twice.
    let all: Vec<String> = read(&old).into_iter().chain(read(&container.log)).map(|line| line.2).collect();
    let expected: Vec<String> = (1..=all.len()).map(|number| format!("line {number}")).collect();
    assert_eq!(all, expected);
}

fn an_ended_container_s_log_is_not_opened_again(world: &World<'_>) {
    let pod = world.pod();
    let ended = pod.start("echo x");
    ended.exited();
    fs::remove_file(&ended.log).unwrap();
    reopen(&ended).unwrap_err();
    assert!(!ended.log.exists());
    let created = pod.create("true", |_| {});
    reopen(&created).unwrap_err();
    assert!(!created.log.exists());
}

fn a_container_without_a_log_runs(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start_with("echo nobody reads this", |config| config.log_path.clear());
    assert_eq!(container.exited().exit_code, 0);
    assert_eq!(container.status().log_path, "");
}

fn bytes_that_are_no_text_are_kept(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start(r"printf '\377\376\n'");
    container.exited();
    let bytes = fs::read(&container.log).unwrap();
    assert!(bytes.ends_with(b" stdout F \xff\xfe\n"), "{bytes:?}");
}

fn everything_is_in_the_log_when_the_container_has_ended(world: &World<'_>) {
    let pod = world.pod();
    let container = pod.start("seq 1 20000");
    assert_eq!(container.exited().exit_code, 0);
    let all: Vec<String> = container.lines().into_iter().map(|line| line.2).collect();
    assert_eq!(all.len(), 20_000);
    assert_eq!(all[19_999], "20000");
}
