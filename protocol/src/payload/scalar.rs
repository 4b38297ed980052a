use super::PayloadError;
use super::field::json_message;

json_message! {
    /// Size of the client's terminal in characters, payload type 3. Sent at the start and whenever it changed; a client
    /// that does not know its size sends 300 x 100 (`P: src/sessionmanagerplugin/session/shellsession` @ 61cf1288).
    Size {
        /// Columns.
        cols: u32 = "cols",
        /// Rows.
        rows: u32 = "rows",
    }
}

/// The number in payload type 10, a big-endian u32 (`P: src/message/clientmessage.go` @ 61cf1288).
///
/// | value | name | from |
/// |---|---|---|
/// | 1 | disconnect-to-port | client |
/// | 2 | terminate-session | client |
/// | 3 | connect-to-port-error | agent |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagValue(pub u32);

impl FlagValue {
    /// The local TCP connection of a basic port session ended.
    pub const DISCONNECT_TO_PORT: Self = Self(1);
    /// The client ends the session.
    pub const TERMINATE_SESSION: Self = Self(2);
    /// The agent could not connect to the destination.
    pub const CONNECT_TO_PORT_ERROR: Self = Self(3);

    /// The name in the table above; `None` for a value that upstream does not know.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::DISCONNECT_TO_PORT => "disconnect-to-port",
            Self::TERMINATE_SESSION => "terminate-session",
            Self::CONNECT_TO_PORT_ERROR => "connect-to-port-error",
            _ => return None,
        })
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When it has not exactly four bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let bytes = payload.try_into().map_err(|_| PayloadError::FlagLength { length: payload.len() })?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }

    /// The payload as on the wire.
    pub fn encode(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// Exit code of a NonInteractiveCommands session with separate streams: the ASCII text `EXIT_CODE: <n>` of payload
/// type 12, not a number and not binary (`A: agent/session/shell/shell.go` @ 1c217c89; seen on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExitCode(pub i64);

impl ExitCode {
    /// Reads the payload. White space around the number is ignored.
    ///
    /// # Errors
    /// When there is no `EXIT_CODE:` or no number behind it.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.trim().strip_prefix("EXIT_CODE:"));
        let code = number.and_then(|number| number.trim().parse().ok());
        code.map(Self).ok_or(PayloadError::ExitCode { length: payload.len() })
    }

    /// The payload as on the wire.
    pub fn encode(self) -> String {
        format!("EXIT_CODE: {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_text() {
        assert_eq!(ExitCode::parse(b"EXIT_CODE: 3").unwrap(), ExitCode(3));
        assert_eq!(ExitCode::parse(b"EXIT_CODE: -1\n").unwrap(), ExitCode(-1));
        assert_eq!(ExitCode::parse(&[0, 0, 0, 3]), Err(PayloadError::ExitCode { length: 4 }));
        assert_eq!(ExitCode(3).encode(), "EXIT_CODE: 3");
    }

    #[test]
    fn a_flag_is_four_bytes() {
        assert_eq!(FlagValue::parse(&[0, 0, 0, 2]).unwrap(), FlagValue::TERMINATE_SESSION);
        assert_eq!(FlagValue::parse(&[0, 0, 2]), Err(PayloadError::FlagLength { length: 3 }));
        assert_eq!(FlagValue(77).name(), None);
    }
}
