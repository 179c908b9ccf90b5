//! How a session ended, as clients are told on the stream of errors.
//!
//! Since version 4 of the channel protocol it is a `Status` of the Kubernetes API, in JSON; before it is a text, and
//! nothing at all after success.

use super::handler::Failure;
use serde_json::{Value, json};

/// How a client wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusFormat {
    Json,
    Text,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Outcome {
    Success,
    ExitCode(i32),
    Failed(String),
}

impl Outcome {
    pub(super) fn failed(attempted: &str, failure: &Failure) -> Self {
        let mut text = format!("{attempted}: {failure}");
        let mut cause = failure.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        Self::Failed(text)
    }

    /// What is written to the client.
    pub(super) fn write(&self, format: StatusFormat) -> Vec<u8> {
        match format {
            StatusFormat::Json => self.json().to_string().into_bytes(),
            StatusFormat::Text => self.text().into_bytes(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Success => json!({"metadata": {}, "status": "Success"}),
            Self::ExitCode(code) => json!({
                "metadata": {},
                "status": "Failure",
                "message": self.text(),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Failed(why) => json!({
                "metadata": {},
                "status": "Failure",
                "message": self.text(),
                "reason": "InternalError",
                "details": {"causes": [{"message": why}]},
                "code": 500,
            }),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::ExitCode(code) => format!("command terminated with non-zero exit code: exit status {code}"),
            Self::Failed(why) => format!("Internal error occurred: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_a_cause_and_success_is_silent_in_text() {
        let json: Value = serde_json::from_slice(&Outcome::ExitCode(3).write(StatusFormat::Json)).unwrap();
        assert_eq!(json["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
        assert_eq!(json["reason"], "NonZeroExitCode");
        assert_eq!(Outcome::Success.write(StatusFormat::Text), b"");
        let failure: Failure = Box::new(std::io::Error::other("broken"));
        let failed = Outcome::failed("error attaching to container", &failure);
        let text = String::from_utf8(failed.write(StatusFormat::Text)).unwrap();
        assert_eq!(text, "Internal error occurred: error attaching to container: broken");
    }
}
