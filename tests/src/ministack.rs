//! ministack: a stand-in for AWS that runs the real `bootstrap` and deploys the real template.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::aws::{Account, REGION};
use crate::http::{Request, free_port};
use crate::{bootstrap, wait_for};

/// A ministack of its own, which ends with the process that started it.
#[derive(Debug)]
pub struct Ministack {
    /// Where it listens.
    pub address: SocketAddr,
    python: PathBuf,
    folder: TempDir,
    zipping: Mutex<()>,
    _launcher: Child,
    /// The launcher ends ministack when this is closed.
    _until: ChildStdin,
}

impl Ministack {
    /// Starts one, or says why not: `WARDEN_VENV` has to name a virtual environment with `tests/requirements.txt`.
    ///
    /// Functions that it runs find AWS at `endpoint`: a proxy in front of it, or itself.
    pub fn start(endpoint: Option<&str>) -> Option<Self> {
        let bin = venv()?;
        let folder = TempDir::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let python = bin.join("python");
        let mut launcher = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/run_ministack.py"))
            .arg(folder.path().join("ministack.log"))
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", address.port().to_string())
            .env("TMPDIR", folder.path())
            .env("LAMBDA_EXECUTOR", "local")
            .env("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "1")
            .env("AWS_ENDPOINT_URL", endpoint.map_or_else(|| format!("http://{address}"), str::to_owned))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let until = launcher.stdin.take().unwrap();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let health = Request { method: "GET".into(), target: "/_ministack/health".into(), ..Request::default() };
        wait_for("ministack", || health.send(address).ok().filter(|answer| answer.status == 200));
        Some(Self { address, python, folder, zipping: Mutex::default(), _launcher: launcher, _until: until })
    }

    /// An account in it.
    pub fn account(&self, id: &str) -> Account {
        Account::new(self.address, id)
    }

    /// Deploys `functions/template.yaml` with the real `bootstrap` in an account, and returns the stack.
    pub fn deploy(&self, id: &str, parameters: &[(&str, &str)]) -> Stack {
        let account = self.account(id);
        let bucket = format!("code-{id}");
        account.make_bucket(&bucket);
        account.put(&bucket, "bootstrap.zip", std::fs::read(self.zipped(&bootstrap::executable())).unwrap());
        account.put(&bucket, "template.yaml", packaged_template(&bucket));
        let url = format!("http://{}/{bucket}/template.yaml", self.address);
        let mut fields = vec![
            ("Action".to_owned(), "CreateStack"),
            ("StackName".to_owned(), "warden"),
            ("TemplateURL".to_owned(), url.as_str()),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM"),
            ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND"),
        ];
        for (n, (name, value)) in parameters.iter().enumerate() {
            fields.push((format!("Parameters.member.{}.ParameterKey", n + 1), name));
            fields.push((format!("Parameters.member.{}.ParameterValue", n + 1), value));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        account.query("cloudformation", &fields);
        wait_for("the stack", || {
            let xml = account.query("cloudformation", &[("Action", "DescribeStacks"), ("StackName", "warden")]);
            assert!(!xml.contains("FAILED") && !xml.contains("ROLLBACK"), "{xml}");
            xml.contains("CREATE_COMPLETE").then_some(())
        });
        let stack = Stack { account };
        // Three minutes of a function's time, six times: nobody waits so long for a second attempt here.
        let attributes = json!({"VisibilityTimeout": "20"});
        let input = json!({"QueueUrl": stack.queue("transcripts"), "Attributes": attributes});
        stack.account.json("AmazonSQS.SetQueueAttributes", &input);
        stack
    }

    /// Its log, for a test that fails.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ministack.log")).unwrap_or_default()
    }

    /// The executable in a zip, without its debugging sections: 150 MB would be copied for each function.
    fn zipped(&self, executable: &Path) -> PathBuf {
        let zip = self.folder.path().join("bootstrap.zip");
        let _one_at_a_time = self.zipping.lock().unwrap();
        if !zip.exists() {
            let stripped = self.folder.path().join("bootstrap");
            let strip = Command::new("strip").arg("-o").arg(&stripped).arg(executable).status();
            if !strip.is_ok_and(|status| status.success()) {
                std::fs::copy(executable, &stripped).unwrap();
            }
            let mut python = Command::new(&self.python);
            let status = python.args(["-m", "zipfile", "-c"]).arg(&zip).arg(&stripped).status().unwrap();
            assert!(status.success());
        }
        zip
    }
}

/// Session Warden, deployed in an account.
#[derive(Debug)]
pub struct Stack {
    /// The account.
    pub account: Account,
}

impl Stack {
    /// ARN of one of its topics: `machine`, `human`, `chat`.
    pub fn topic(&self, name: &str) -> String {
        format!("arn:aws:sns:{REGION}:{}:session-warden-{name}", self.account.id)
    }

    /// One of its buckets: `transcripts`, `rules`, `results`.
    pub fn bucket(&self, name: &str) -> String {
        format!("session-warden-{name}-{}-{REGION}", self.account.id)
    }

    /// URL of one of its queues.
    pub fn queue(&self, name: &str) -> String {
        self.account.queue(&format!("session-warden-{name}"))
    }

    /// A new queue that gets every machine alert, or those that a filter policy lets pass.
    pub fn alerts(&self, queue: &str, filter: Option<&Value>) -> String {
        self.account.subscribe(&self.topic("machine"), queue, filter)
    }

    /// Environment that the template gives a function, with AWS at another endpoint.
    pub fn environment(&self, function: &str, endpoint: &str) -> Vec<(String, String)> {
        let found = self.account.function(&format!("session-warden-{function}"));
        let variables = found["Environment"]["Variables"].as_object().unwrap();
        let own = [("AWS_ACCESS_KEY_ID", self.account.id.as_str()), ("AWS_ENDPOINT_URL", endpoint)];
        let given = variables.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        given.chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// The template.
pub const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/template.yaml");

/// The template with the code in a bucket, as `sam package` leaves it.
pub fn packaged_template(bucket: &str) -> String {
    let template = std::fs::read_to_string(TEMPLATE).unwrap();
    let packaged = template.replace("CodeUri: .\n", &format!("CodeUri: {{Bucket: {bucket}, Key: bootstrap.zip}}\n"));
    assert_ne!(template, packaged);
    packaged
}

/// Folder of the programs of the virtual environment that `WARDEN_VENV` names; where it names none, what needs it is skipped, but
/// not in CI.
pub fn venv() -> Option<PathBuf> {
    let venv = std::env::var_os("WARDEN_VENV").map(|venv| Path::new(&venv).join("bin"));
    assert!(venv.is_some() || std::env::var_os("CI").is_none(), "WARDEN_VENV is not set in CI");
    if venv.is_none() {
        println!("skipped: WARDEN_VENV names no virtual environment with tests/requirements.txt");
    }
    venv
}
