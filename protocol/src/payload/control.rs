//! Messages that the agent and the service exchange beside the streams: on the data channel `agent_session_state`, on
//! the control channel the start of sessions and Run Command jobs (`A: agent/session/contracts/model.go` @ 1c217c89).

use serde_json::{Map, Value};

use super::field::{Parsed, json_message};
use super::json::JsonError;
use crate::wire::MessageType;

json_message! {
    /// The agent tells the service whether the session runs; clients never see it.
    AgentSessionState {
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
        /// `Connected` or `Terminating`.
        session_state: String = "SessionState",
        /// The session.
        session_id: String = "SessionId",
    }
}

json_message! {
    /// `interactive_shell`: the service asks the agent to start a session.
    InteractiveShell {
        /// A JSON text inside the JSON; see [`InteractiveShell::task`].
        content: String = "Content",
        /// The session id.
        task_id: String = "TaskId",
        /// Topic of the service.
        topic: String = "Topic",
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
    }
}

json_message! {
    /// The content of `interactive_shell`.
    SessionTask {
        /// The session document's name.
        document_name: String = "DocumentName",
        /// The session document: logging, encryption, commands.
        document_content: Value = "DocumentContent",
        /// The session.
        session_id: String = "SessionId",
        /// Parameters of StartSession.
        parameters: Map<String, Value> = "Parameters",
        /// OS user of the session.
        run_as_user: String = "RunAsUser",
        /// ARN of the principal.
        session_owner: String = "SessionOwner",
    }
}

json_message! {
    /// `agent_task_acknowledge`: receipt of a task message.
    TaskAcknowledge {
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
        /// The acknowledged message.
        message_id: String = "MessageId",
        /// The session id.
        task_id: String = "TaskId",
        /// Topic of the service.
        topic: String = "Topic",
    }
}

json_message! {
    /// `agent_task_complete`: the end of a session, with the places of its logs.
    TaskComplete {
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
        /// The session id.
        task_id: String = "TaskId",
        /// Topic of the service.
        topic: String = "Topic",
        /// Such as `Success`.
        final_task_status: String = "FinalTaskStatus",
        /// Whether the task could not be routed.
        is_routing_failure: bool = "IsRoutingFailure",
        /// Account of the managed node.
        aws_account_id: String = "AwsAccountId",
        /// The managed node.
        instance_id: String = "InstanceId",
        /// Output in words.
        output: String = "Output",
        /// Bucket of the transcript.
        s3_bucket: String = "S3Bucket",
        /// Key of the transcript.
        s3_url_suffix: String = "S3UrlSuffix",
        /// Log group.
        cwl_group: String = "CwlGroup",
        /// Log stream.
        cwl_stream: String = "CwlStream",
        /// How often this was sent before.
        retry_number: i64 = "RetryNumber",
    }
}

json_message! {
    /// `agent_job`: a Run Command or cancel-command document.
    AgentJob {
        /// The document, a JSON text.
        content: String = "Content",
        /// The job.
        job_id: String = "JobId",
        /// Topic of the service.
        topic: String = "Topic",
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
    }
}

json_message! {
    /// `agent_job_ack`: receipt of a job.
    AgentJobAck {
        /// The job.
        job_id: String = "jobId",
        /// The acknowledged message.
        message_id: String = "acknowledgedMessageId",
        /// When, in words.
        created_date: String = "createdDate",
        /// Such as `200`.
        status_code: String = "statusCode",
        /// Why not, in words.
        error_message: String = "errorMessage",
    }
}

json_message! {
    /// `agent_job_reply`: the result of a job.
    AgentJobReply {
        /// Version of this message.
        schema_version: i64 = "schemaVersion",
        /// The job.
        job_id: String = "jobId",
        /// The result, a JSON text.
        content: String = "content",
        /// Topic of the service.
        topic: String = "topic",
    }
}

json_message! {
    /// `agent_job_reply_ack`: receipt of a result.
    AgentJobReplyAck {
        /// The job.
        job_id: String = "jobId",
        /// The acknowledged message.
        message_id: String = "acknowledgedMessageId",
    }
}

/// A message of the control channel other than `interactive_shell`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// `agent_task_acknowledge`.
    TaskAcknowledge(TaskAcknowledge),
    /// `agent_task_complete`.
    TaskComplete(TaskComplete),
    /// `agent_task_reply`: the value as sent.
    TaskReply(Value),
    /// `agent_job`.
    Job(AgentJob),
    /// `agent_job_ack`.
    JobAck(AgentJobAck),
    /// `agent_job_reply`.
    JobReply(AgentJobReply),
    /// `agent_job_reply_ack`.
    JobReplyAck(AgentJobReplyAck),
}

impl Message {
    /// Reads a message by its type; `None` when the type is none of these.
    ///
    /// # Errors
    /// When the bytes are no JSON object.
    pub fn read(message_type: &MessageType, text: &[u8]) -> Result<Option<Parsed<Self>>, JsonError> {
        Ok(Some(match *message_type {
            it if it == MessageType::AGENT_TASK_ACKNOWLEDGE => TaskAcknowledge::parse(text)?.map(Self::TaskAcknowledge),
            it if it == MessageType::AGENT_TASK_COMPLETE => TaskComplete::parse(text)?.map(Self::TaskComplete),
            it if it == MessageType::AGENT_TASK_REPLY => Parsed::clean(Self::TaskReply(super::parse_json(text)?)),
            it if it == MessageType::AGENT_JOB => AgentJob::parse(text)?.map(Self::Job),
            it if it == MessageType::AGENT_JOB_ACK => AgentJobAck::parse(text)?.map(Self::JobAck),
            it if it == MessageType::AGENT_JOB_REPLY => AgentJobReply::parse(text)?.map(Self::JobReply),
            it if it == MessageType::AGENT_JOB_REPLY_ACK => AgentJobReplyAck::parse(text)?.map(Self::JobReplyAck),
            _ => return Ok(None),
        }))
    }
}

impl InteractiveShell {
    /// The session that is asked for: the JSON text inside [`InteractiveShell::content`].
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn task(&self) -> Result<Parsed<SessionTask>, JsonError> {
        SessionTask::parse(self.content.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_interactive_shell_is_json_inside_json() {
        let content =
            r#"{"DocumentName":"SSM-SessionManagerRunShell","SessionId":"s-1","Parameters":null,"RunAsUser":"u"}"#;
        let shell = InteractiveShell { content: content.to_owned(), ..InteractiveShell::default() };
        let read = InteractiveShell::parse(shell.to_json().as_bytes()).unwrap();
        assert_eq!((read.value == shell, read.faults.len()), (true, 0));
        let task = read.value.task().unwrap().value;
        assert_eq!((task.session_id.as_str(), task.run_as_user.as_str()), ("s-1", "u"));
    }
}
