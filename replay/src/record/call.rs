//! A call of AWS's session-manager-plugin: its arguments, and what StartSession answered.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

/// A call that starts a session.
pub(super) struct Call {
    args: Vec<OsString>,
    /// The environment variable that holds the response; else the first argument does.
    variable: Option<String>,
    response: Value,
    /// Where the data channel is.
    pub(super) stream_url: String,
    pub(super) session: Option<String>,
    pub(super) region: String,
    /// The profile that the AWS CLI was called with; empty if none.
    pub(super) profile: String,
    pub(super) target: Option<String>,
    pub(super) document: Option<String>,
}

impl Call {
    /// Reads the arguments; `None` if they start no session.
    pub(super) fn parse(args: &[OsString]) -> Option<Self> {
        let text = |index: usize| args.get(index).and_then(|arg| arg.to_str()).unwrap_or_default().to_owned();
        if !text(2).eq_ignore_ascii_case("StartSession") {
            return None;
        }
        let first = text(0);
        let variable = Some(first.clone()).filter(|first| !first.trim_start().starts_with('{'));
        let response = variable.as_ref().map_or(Some(first), |name| std::env::var(name).ok())?;
        let response: Value = serde_json::from_str(&response).ok()?;
        let parameters: Value = serde_json::from_str(&text(4)).unwrap_or_default();
        let of = |value: &Value, key: &str| field(value, key).and_then(Value::as_str).map(ToOwned::to_owned);
        Some(Self {
            args: args.to_vec(),
            variable,
            stream_url: of(&response, "StreamUrl")?,
            session: of(&response, "SessionId"),
            region: text(1),
            profile: text(3),
            target: of(&parameters, "Target"),
            document: of(&parameters, "DocumentName"),
            response,
        })
    }

    /// The same call of the real plugin, with another `StreamUrl`, handed over as it was handed over here.
    ///
    /// # Errors
    /// When the response cannot be written anew.
    pub(super) fn command(&self, plugin: &Path, url: &str) -> anyhow::Result<Command> {
        let mut response = self.response.clone();
        if let Some(object) = response.as_object_mut() {
            object
                .iter_mut()
                .filter(|(key, _)| key.eq_ignore_ascii_case("StreamUrl"))
                .for_each(|(_, value)| *value = url.into());
        }
        let response = serde_json::to_string(&response).context("the response of StartSession")?;
        let mut command = Command::new(plugin);
        match &self.variable {
            Some(name) => command.env(name, response).args(&self.args),
            None => command.arg(response).args(self.args.iter().skip(1)),
        };
        Ok(command)
    }

    /// What to say of a session that was started and is given up.
    pub(super) fn left_behind(&self) -> String {
        let session = self.session.as_deref().unwrap_or("SESSION");
        format!("the session may still be open at AWS: end it with `aws ssm terminate-session --session-id {session}`")
    }
}

/// AWS's plugin reads keys without regard to case, and ECS sends them in another.
fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_cli_are_read_and_written_anew() {
        let response = r#"{"sessionId":"s-1","streamUrl":"wss://real.example/v1","tokenValue":"T"}"#;
        let args: Vec<OsString> =
            [response, "eu-west-1", "StartSession", "prod", r#"{"Target":"i-1","DocumentName":"D"}"#, "https://ssm"]
                .map(OsString::from)
                .to_vec();
        let call = Call::parse(&args).unwrap();
        assert_eq!(
            (call.session.as_deref(), call.target.as_deref(), &*call.profile),
            (Some("s-1"), Some("i-1"), "prod")
        );
        assert_eq!((call.document.as_deref(), &*call.stream_url), (Some("D"), "wss://real.example/v1"));
        let command = call.command(Path::new("real"), "ws://127.0.0.1:1/x").unwrap();
        let given: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(given[0], r#"{"sessionId":"s-1","streamUrl":"ws://127.0.0.1:1/x","tokenValue":"T"}"#);
        assert_eq!(given[1..], args[1..]);
        assert!(Call::parse(&["--version".into()]).is_none());
        assert!(Call::parse(&[]).is_none());
    }
}
