use serde_json::Value;

use super::field::{Element, Fault, Field, Parsed, json_message};

json_message! {
    /// The agent opens the handshake, payload type 5 (`P: src/message/handshakemessage.go` @ 61cf1288).
    HandshakeRequest {
        /// Version of the agent.
        agent_version: String = "AgentVersion",
        /// What the client is to do; SessionType comes first.
        actions: Vec<RequestedAction> = "RequestedClientActions",
    }
}

json_message! {
    /// One thing that the agent asks for.
    RequestedAction {
        /// `SessionType`, `KMSEncryption` or what later versions know.
        action_type: String = "ActionType",
        /// Parameters as sent; see [`HandshakeRequest::session_type`] and [`HandshakeRequest::kms`].
        parameters: Value = "ActionParameters",
    }
}

json_message! {
    /// Parameters of action `SessionType`.
    SessionTypeRequest {
        /// `Standard_Stream`, `InteractiveCommands`, `NonInteractiveCommands` or `Port`.
        session_type: String = "SessionType",
        /// For `Port` the document's properties, verbatim; `null` otherwise.
        properties: Value = "Properties",
    }
}

json_message! {
    /// Parameters of action `KMSEncryption`.
    KmsRequest {
        /// The key, as ARN or id.
        key_id: String = "KMSKeyId",
        /// Random bytes; their base64 text may become part of the encryption context. Absent from older agents.
        challenge: Vec<u8> = "Challenge",
    }
}

json_message! {
    /// The client answers the handshake, payload type 6.
    HandshakeResponse {
        /// Version of the client.
        client_version: String = "ClientVersion",
        /// What became of each requested action.
        actions: Vec<ProcessedAction> = "ProcessedClientActions",
        /// Errors in words.
        errors: Vec<String> = "Errors",
    }
}

json_message! {
    /// What became of one requested action. For an action it does not know, AWS's client leaves the status 0 and puts
    /// the number 3 into the result.
    ProcessedAction {
        /// `SessionType`, `KMSEncryption` or what later versions know.
        action_type: String = "ActionType",
        /// How it ended.
        status: ActionStatus = "ActionStatus",
        /// Result as sent; see [`HandshakeResponse::kms`].
        result: Value = "ActionResult",
        /// Error in words.
        error: String = "Error",
    }
}

json_message! {
    /// Result of action `KMSEncryption`.
    KmsResult {
        /// The data key as KMS encrypted it: only KMS can open it.
        cipher_text_key: Vec<u8> = "KMSCipherTextKey",
        /// Unused upstream.
        cipher_text_hash: Vec<u8> = "KMSCipherTextHash",
        /// Whether the challenge went into the encryption context; only newer clients say so.
        challenge_acknowledgement: Option<bool> = "ChallengeAcknowledgement",
    }
}

json_message! {
    /// The agent ends the handshake, payload type 7.
    HandshakeComplete {
        /// Duration of the handshake in nanoseconds.
        time_to_complete: i64 = "HandshakeTimeToComplete",
        /// Shown to the user; may hold line ends.
        customer_message: String = "CustomerMessage",
    }
}

json_message! {
    /// Payload types 8 and 9: 64 random bytes, sealed. The client sends the agent's bytes back under its own key half.
    EncryptionChallenge {
        /// Nonce, ciphertext and tag; see [`crate::seal`].
        sealed: Vec<u8> = "Challenge",
    }
}

impl Element for RequestedAction {}
impl Element for ProcessedAction {}

impl HandshakeRequest {
    /// The session type that the agent announces.
    pub fn session_type(&self) -> Option<Parsed<SessionTypeRequest>> {
        self.action("SessionType").map(|parameters| typed(parameters, "SessionType"))
    }

    /// The KMS key that the agent wants the session encrypted with.
    pub fn kms(&self) -> Option<Parsed<KmsRequest>> {
        self.action("KMSEncryption").map(|parameters| typed(parameters, "KMSEncryption"))
    }

    fn action(&self, action_type: &str) -> Option<&Value> {
        self.actions.iter().find(|action| action.action_type == action_type).map(|action| &action.parameters)
    }
}

impl HandshakeResponse {
    /// What the client did about KMS encryption: the action and its result.
    pub fn kms(&self) -> Option<(&ProcessedAction, Parsed<KmsResult>)> {
        let action = self.actions.iter().find(|action| action.action_type == "KMSEncryption")?;
        Some((action, typed(&action.result, "ActionResult")))
    }
}

/// How a requested action ended (`P: src/message/handshakemessage.go` @ 61cf1288).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ActionStatus(pub i64);

impl ActionStatus {
    /// Done.
    pub const SUCCESS: Self = Self(1);
    /// Tried in vain.
    pub const FAILED: Self = Self(2);
    /// Not known to the client.
    pub const UNSUPPORTED: Self = Self(3);
}

impl Field for ActionStatus {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        Self(i64::read(value, key, faults))
    }

    fn write(&self) -> Value {
        self.0.write()
    }
}

fn typed<T: Field>(value: &Value, key: &'static str) -> Parsed<T> {
    let mut faults = Vec::new();
    let value = if value.is_null() { T::default() } else { T::read(value.clone(), key, &mut faults) };
    Parsed { value, faults }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_by_type() {
        let text = br#"{"AgentVersion":"3.3.0.0","RequestedClientActions":[{"ActionType":"SessionType",
            "ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"80"}}},
            {"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k","Challenge":"AAEC"}}]}"#;
        let request = HandshakeRequest::parse(text).unwrap().value;
        let session = request.session_type().unwrap().value;
        assert_eq!((session.session_type.as_str(), &session.properties["portNumber"]), ("Port", &Value::from("80")));
        assert_eq!(request.kms().unwrap().value.challenge, [0, 1, 2]);
    }

    #[test]
    fn a_message_is_written_as_upstream_writes_it() {
        let text = r#"{"ClientVersion":"1.2.0.0","ProcessedClientActions":[{"ActionType":"Future","ActionStatus":0,"ActionResult":3,"Error":"Unsupported action Future"}],"Errors":["Unsupported action Future"]}"#;
        assert_eq!(HandshakeResponse::parse(text.as_bytes()).unwrap().value.to_json(), text);
    }
}
