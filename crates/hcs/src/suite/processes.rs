//! Processes in compute systems.

use super::{Case, Fixture, Need, Program, Subject, done, finish, must, refused};
use crate::documents::{
    CloseHandle, ConsoleSize, ModifyOperation, ProcessModifyRequest, ProcessSignal, SignalProcessOptions,
    StdHandle,
};
use crate::hresult::HResult;

const fn case(name: &'static str, run: fn(&dyn Fixture)) -> Case {
    Case { name, group: "processes", need: Need::Processes, run }
}

pub(super) const CASES: &[Case] = &[
    case("the exit code reaches who waits", exit_code),
    case("a process that runs says so", runs),
    case("a process is terminated", terminated),
    case("a process is ended by a signal", signalled),
    case("a signal without options ends a process", signalled_without_options),
    case("a process that ended takes no signal", ended),
    case("a program that is not there is no process", missing),
    case("a process is opened by its id", opened),
    case("a process that is not there is not opened", not_opened),
    case("a process that ended is not opened", ended_not_opened),
    case("processes have ids of their own", ids),
    case("the end of a system is the end of its processes", system_ends),
    case("a console changes its size", console),
    case("a process that ended is not modified", ended_not_modified),
    case("a change that means nothing is refused", no_change),
    case("a process outlives its handles", outlives),
];

fn exit_code(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "exit-code");
    for code in [0, 1, 42] {
        let (process, information) = subject.process(&fixture.process(Program::Exits(code)));
        let status = done(process.exit());
        assert_eq!((status.exited, status.exit_code), (Some(true), Some(code)));
        assert_eq!(status.process_id, Some(information.process_id));
        assert_eq!(done(process.properties()), status);
        assert_eq!(done(process.exit()).exit_code, Some(code), "waiting again gives the same");
    }
}

fn runs(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "runs");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    assert_eq!(process.id(), Some(information.process_id));
    let status = done(process.properties());
    assert_eq!((status.process_id, status.exited), (Some(information.process_id), Some(false)));
    let mut exit = must(process.exit());
    assert_eq!(refused(exit.try_result()), HResult::HCS_E_OPERATION_PENDING);
}

fn terminated(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-terminate");
    let (process, _) = subject.process(&fixture.process(Program::Sleeps));
    done(process.terminate());
    assert_eq!(done(process.exit()).exited, Some(true));
}

fn signalled(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "signal");
    let (process, _) = subject.process(&fixture.process(Program::Sleeps));
    done(process.signal(Some(&SignalProcessOptions::new().signal(ProcessSignal::CtrlC))));
    let status = done(process.exit());
    assert!(status.exit_code.is_some_and(|code| code != 0), "{status:?}");
}

fn signalled_without_options(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "signal-null");
    let (process, _) = subject.process(&fixture.process(Program::Sleeps));
    done(process.signal(None));
    assert_eq!(done(process.exit()).exited, Some(true));
}

fn ended(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-ended");
    let (process, _) = subject.process(&fixture.process(Program::Exits(0)));
    done(process.exit());
    for code in [refused(finish(process.signal(None))), refused(finish(process.terminate()))] {
        assert!(code.is_already_stopped(), "{code}");
    }
}

fn missing(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "missing");
    let created = subject.system.create_process(&fixture.process(Program::Missing));
    refused(created.and_then(|(_, created)| finish(Ok(created))));
    let (process, _) = subject.process(&fixture.process(Program::Exits(5)));
    assert_eq!(done(process.exit()).exit_code, Some(5), "the system is none the worse");
}

fn opened(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "opened");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    let again = must(subject.again(fixture).open_process(information.process_id));
    assert_eq!(again.id(), Some(information.process_id));
    done(again.terminate());
    assert_eq!(done(process.exit()), done(again.exit()));
}

fn not_opened(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "not-opened");
    assert!(refused(subject.system.open_process(0xFFFF_FFF0)).is_not_exist());
}

fn ended_not_opened(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ended-opened");
    let (process, information) = subject.process(&fixture.process(Program::Exits(0)));
    done(process.exit());
    drop(process);
    assert!(refused(subject.system.open_process(information.process_id)).is_not_exist());
}

fn ids(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ids");
    let (_first, one) = subject.process(&fixture.process(Program::Sleeps));
    let (_second, two) = subject.process(&fixture.process(Program::Sleeps));
    assert_ne!(one.process_id, two.process_id);
}

fn system_ends(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "system-ends");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    let exit = must(process.exit());
    subject.terminate();
    assert_eq!(done(Ok(exit)).exited, Some(true));
    let code = refused(subject.system.open_process(information.process_id));
    assert!(code.is_already_stopped() || code.is_not_exist(), "{code}");
}

fn resize(height: u16, width: u16) -> ProcessModifyRequest {
    let size = ConsoleSize::new().height(height).width(width);
    ProcessModifyRequest::new().operation(ModifyOperation::ConsoleSize).console_size(size)
}

fn console(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "console");
    let parameters = fixture.process(Program::Sleeps).emulate_console(true).console_size([24, 80]);
    let (process, _) = subject.process(&parameters);
    done(process.modify(&resize(40, 100)));
    let mut wrong = resize(40, 100);
    wrong.console_size = None;
    assert!(refused(finish(process.modify(&wrong))).is_not_supported());
}

fn ended_not_modified(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "ended-modified");
    let parameters = fixture.process(Program::Exits(0)).emulate_console(true);
    let (process, _) = subject.process(&parameters);
    done(process.exit());
    assert!(refused(finish(process.modify(&resize(40, 100)))).is_already_stopped());
}

fn no_change(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-no-change");
    let (process, _) = subject.process(&fixture.process(Program::Sleeps));
    let handle = CloseHandle::new().handle(StdHandle::Other("StdAux".to_owned()));
    let request = ProcessModifyRequest::new().operation(ModifyOperation::CloseHandle);
    for request in [ProcessModifyRequest::new(), request.clone(), request.close_handle(handle)] {
        assert!(refused(finish(process.modify(&request))).is_not_supported());
    }
}

fn outlives(fixture: &dyn Fixture) {
    let subject = Subject::running(fixture, "process-outlives");
    let (process, information) = subject.process(&fixture.process(Program::Sleeps));
    drop(process);
    let process = must(subject.system.open_process(information.process_id));
    assert_eq!(done(process.properties()).exited, Some(false));
    done(process.terminate());
}
