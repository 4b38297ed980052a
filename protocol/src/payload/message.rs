use super::field::json_message;

json_message! {
    /// Receipt of one stream message. It proves receipt, not processing. Flags are 3, the sequence number of its own
    /// frame is 0 (`P: src/message/clientmessage.go` @ 61cf1288).
    Acknowledge {
        /// `input_stream_data` or `output_stream_data`.
        message_type: String = "AcknowledgedMessageType",
        /// The acknowledged MessageId in text form, lower case.
        message_id: String = "AcknowledgedMessageId",
        /// The acknowledged sequence number.
        sequence_number: i64 = "AcknowledgedMessageSequenceNumber",
        /// Always true.
        is_sequential: bool = "IsSequentialMessage",
    }
}

json_message! {
    /// The service ends the channel. Sent without some of these keys too: the agent's struct has no `Output`, and the
    /// date comes in other forms (`P: src/message/clientmessage.go` @ 61cf1288; the service itself is not verified).
    ChannelClosed {
        /// Identity of the message.
        message_id: String = "MessageId",
        /// Time in the service's words.
        created_date: String = "CreatedDate",
        /// Whom it is for.
        destination_id: String = "DestinationId",
        /// Session that ends.
        session_id: String = "SessionId",
        /// `channel_closed`.
        message_type: String = "MessageType",
        /// Version of this message.
        schema_version: i64 = "SchemaVersion",
        /// Why, in words shown to the user; empty after a normal end.
        output: String = "Output",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_types_are_faults_and_the_rest_is_read() {
        let parsed = ChannelClosed::parse(br#"{"CreatedDate":1732279474123,"output":"Idle","New":1}"#).unwrap();
        assert_eq!(parsed.value.output, "Idle");
        assert_eq!(parsed.value.unknown["New"], 1);
        assert_eq!((parsed.faults[0].key, parsed.faults[0].found), ("CreatedDate", "number"));
    }

    #[test]
    fn null_and_repeated_keys_are_read_as_in_go() {
        let parsed = Acknowledge::parse(
            br#"{"AcknowledgedMessageId":"a","ACKNOWLEDGEDMESSAGEID":"b","acknowledgedmessageid":null}"#,
        );
        assert_eq!(parsed.unwrap().value.message_id, "b");
        assert_eq!(Acknowledge::parse(b"null").unwrap().value, Acknowledge::default());
        assert!(Acknowledge::parse(b"[]").is_err());
    }
}
