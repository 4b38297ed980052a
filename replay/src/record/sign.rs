//! The `SigV4` signature of an upgrade, which newer plugins make (service `ssmmessages`). Theirs is for the relay's address,
//! so the relay makes its own with the caller's credentials.
//!
//! Credentials come from where the AWS CLI has them: if the session was started with a profile, from
//! `aws configure export-credentials --profile P`; else from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
//! `AWS_SESSION_TOKEN`; else from `aws configure export-credentials`.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

/// How long the AWS CLI may take.
const EXPORT_TIME: Duration = Duration::from_mins(1);

/// The fields that sign a GET of this URL (`https://…`).
///
/// # Errors
/// When what is to be signed is no request.
pub(super) fn signature(
    url: &str,
    region: &str,
    credentials: Credentials,
    at: SystemTime,
) -> anyhow::Result<Vec<(String, String)>> {
    let identity = credentials.into();
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ssmmessages")
        .time(at)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The caller's credentials.
///
/// # Errors
/// When there are none.
pub(super) async fn credentials(profile: &str) -> anyhow::Result<Credentials> {
    if profile.is_empty()
        && let (Ok(key), Ok(secret)) = (std::env::var("AWS_ACCESS_KEY_ID"), std::env::var("AWS_SECRET_ACCESS_KEY"))
    {
        return Ok(Credentials::new(key, secret, std::env::var("AWS_SESSION_TOKEN").ok(), None, "environment"));
    }
    exported(profile).await.context("credentials to sign the connection with (`aws configure export-credentials`)")
}

/// What `aws configure export-credentials --format process` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

async fn exported(profile: &str) -> anyhow::Result<Credentials> {
    let mut command = Command::new("aws");
    command.args(["configure", "export-credentials", "--format", "process"]);
    if !profile.is_empty() {
        command.args(["--profile", profile]);
    }
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(EXPORT_TIME, output).await.context("the AWS CLI does not answer")??;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    // The error of a parser could quote a secret.
    let exported: Exported =
        serde_json::from_slice(&output.stdout).ok().context("the AWS CLI printed no credentials")?;
    Ok(Credentials::new(exported.access_key_id, exported.secret_access_key, exported.session_token, None, "aws-cli"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_names_date_service_and_token() {
        let credentials = Credentials::new("AKID", "secret", Some("session".to_owned()), None, "test");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_732_279_474);
        let url = "https://ssmmessages.eu-central-1.amazonaws.com/v1/data-channel/s-1?role=publish_subscribe";
        let fields = signature(url, "eu-central-1", credentials, at).unwrap();
        let field = |name: &str| &fields.iter().find(|(field, _)| field == name).unwrap().1;
        assert!(field("authorization").starts_with(
            "AWS4-HMAC-SHA256 Credential=AKID/20241122/eu-central-1/ssmmessages/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="
        ), "{fields:?}");
        assert_eq!((&**field("x-amz-date"), &**field("x-amz-security-token")), ("20241122T124434Z", "session"));
    }
}
