//! The standard handles of processes.

use super::{Case, Fixture, Need, Program, Subject, done, must, read};
use crate::documents::{CloseHandle, ModifyOperation, ProcessModifyRequest, StdHandle};
use std::io::Write;
use std::thread;

const fn case(name: &'static str, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "stdio", need: Need::Processes, run }
}

pub(super) const CASES: &[Case] = &[
    case("what a process writes is read", output),
    case("error output comes apart from output", error),
    case("what is written reaches the process and comes back", copied),
    case("more than a pipe holds passes through", much),
    case("only what was asked for is handed out", only_asked),
    case("standard handles are handed out once", once),
    case("a console has no error output of its own", console),
    case("closing the input on its side ends it", input_closed),
    case("output ends with the process", output_ends),
    case("nobody has to take the handles", untaken),
];

fn output(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "output");
    let parameters = fixture.process(Program::Says("hello world")).create_std_out_pipe(true);
    let (process, information) = subject.process(&parameters);
    let pipe = information.stdio.output.expect("it was asked for");
    assert_eq!(read(pipe).trim_end(), "hello world");
    assert_eq!(done(process.exit()).exit_code, Some(0));
}

fn error(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "error");
    let parameters = fixture.process(Program::Complains("no good"));
    let (_process, information) =
        subject.process(&parameters.create_std_out_pipe(true).create_std_err_pipe(true));
    assert_eq!(read(information.stdio.error.expect("it was asked for")).trim_end(), "no good");
    assert_eq!(read(information.stdio.output.expect("it was asked for")), "");
}

fn copied(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "copied");
    let parameters = fixture.process(Program::Copies).create_std_in_pipe(true).create_std_out_pipe(true);
    let (process, information) = subject.process(&parameters);
    let mut input = information.stdio.input.expect("it was asked for");
    input.write_all("Grüße\n".as_bytes()).unwrap_or_else(|error| panic!("write: {error}"));
    drop(input);
    assert_eq!(read(information.stdio.output.expect("it was asked for")), "Grüße\n");
    assert_eq!(done(process.exit()).exit_code, Some(0));
}

fn much(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "much");
    let parameters = fixture.process(Program::Copies).create_std_in_pipe(true).create_std_out_pipe(true);
    let (_process, information) = subject.process(&parameters);
    let mut input = information.stdio.input.expect("it was asked for");
    let sent: String = (0..100_000).map(|number| format!("{number:09}\n")).collect();
    let text = sent.clone();
    let writer = thread::spawn(move || input.write_all(text.as_bytes()));
    let received = read(information.stdio.output.expect("it was asked for"));
    assert!(writer.join().is_ok_and(|written| written.is_ok()));
    assert!(received == sent, "{} of {} bytes, or others", received.len(), sent.len());
}

fn only_asked(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "only-asked");
    let (_process, information) = subject.process(&fixture.process(Program::Sleeps));
    let stdio = information.stdio;
    assert!(stdio.input.is_none() && stdio.output.is_none() && stdio.error.is_none());
    let parameters = fixture.process(Program::Sleeps).create_std_err_pipe(true);
    let (_process, information) = subject.process(&parameters);
    let stdio = information.stdio;
    assert!(stdio.input.is_none() && stdio.output.is_none() && stdio.error.is_some());
}

fn once(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "handed-once");
    let parameters = fixture.process(Program::Sleeps).create_std_out_pipe(true);
    let (process, information) = subject.process(&parameters);
    assert!(information.stdio.output.is_some());
    let again = done(process.information());
    assert_eq!(again.process_id, information.process_id);
    assert!(again.stdio.output.is_none());
    let other = must(subject.system.open_process(information.process_id));
    assert!(done(other.information()).stdio.output.is_none(), "nor by another handle");
}

fn console(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "console-error");
    let parameters = fixture.process(Program::Says("hello")).emulate_console(true);
    let parameters = parameters.create_std_out_pipe(true).create_std_err_pipe(true);
    let (_process, information) = subject.process(&parameters);
    assert!(information.stdio.error.is_none());
    assert!(read(information.stdio.output.expect("it was asked for")).contains("hello"));
}

fn input_closed(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "input-closed");
    let parameters = fixture.process(Program::Copies).create_std_in_pipe(true).create_std_out_pipe(true);
    let (process, information) = subject.process(&parameters);
    // The caller's end stays open.
    let _input = information.stdio.input;
    let close = CloseHandle::new().handle(StdHandle::StdIn);
    let request = ProcessModifyRequest::new().operation(ModifyOperation::CloseHandle).close_handle(close);
    done(process.modify(&request));
    assert_eq!(read(information.stdio.output.expect("it was asked for")), "");
    assert_eq!(done(process.exit()).exit_code, Some(0));
}

fn output_ends(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "output-ends");
    let parameters = fixture.process(Program::Sleeps).create_std_out_pipe(true);
    let (process, information) = subject.process(&parameters);
    done(process.terminate());
    assert_eq!(read(information.stdio.output.expect("it was asked for")), "");
}

fn untaken(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "untaken");
    let parameters = fixture.process(Program::Copies).create_std_in_pipe(true).create_std_out_pipe(true);
    let (process, created) = must(subject.system.create_process(&parameters));
    drop(created);
    // With nobody at its input the process sees the end of it.
    assert_eq!(done(process.exit()).exit_code, Some(0));
}
