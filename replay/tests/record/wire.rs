//! A WebSocket by hand, so that every bit of what arrives can be compared: frames out, frames in.

use std::io::{self, Read, Write};

/// One step of a session: a frame that one side sends and the other waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) is_from_client: bool,
    /// FIN, reserved bits and opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
    /// Whether the client opens a new socket for it.
    pub(crate) is_new_socket: bool,
}

impl Step {
    pub(crate) fn client(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { is_from_client: true, first, payload: payload.into(), is_new_socket: false }
    }

    pub(crate) fn service(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { is_from_client: false, first, payload: payload.into(), is_new_socket: false }
    }

    fn to_line(&self) -> String {
        let hex: String = self.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {} {hex}", u8::from(self.is_from_client), self.first, u8::from(self.is_new_socket))
    }

    fn of_line(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        Self {
            is_from_client: word() == "1",
            first: word().parse().unwrap(),
            is_new_socket: word() == "1",
            payload: word()
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect(),
        }
    }
}

pub(crate) fn to_lines(steps: &[Step]) -> String {
    steps.iter().map(|step| step.to_line() + "\n").collect()
}

pub(crate) fn of_lines(lines: &str) -> Vec<Step> {
    lines.lines().map(Step::of_line).collect()
}

/// Writes a frame; a client masks.
pub(crate) fn send(out: &mut impl Write, is_client: bool, first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    let bit = if is_client { 0x80 } else { 0 };
    match payload.len() {
        0..=125 => frame.push(bit | u8::try_from(payload.len()).unwrap()),
        126..=0xffff => {
            frame.push(bit | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
        length => {
            frame.push(bit | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = if is_client { [0x11, 0x22, 0x33, 0x44] } else { [0; 4] };
    if is_client {
        frame.extend(mask);
    }
    frame.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
    out.write_all(&frame)?;
    out.flush()
}

/// Reads a frame: its first byte, whether it was masked, its payload.
pub(crate) fn receive(input: &mut impl Read) -> io::Result<(u8, bool, Vec<u8>)> {
    let mut two = [0; 2];
    input.read_exact(&mut two)?;
    let length = match two[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            input.read_exact(&mut bytes)?;
            u16::from_be_bytes(bytes).into()
        }
        127 => {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes)?;
            usize::try_from(u64::from_be_bytes(bytes)).unwrap()
        }
        short => short.into(),
    };
    let is_masked = two[1] & 0x80 != 0;
    let mut mask = [0; 4];
    if is_masked {
        input.read_exact(&mut mask)?;
    }
    let mut payload = vec![0; length];
    input.read_exact(&mut payload)?;
    payload.iter_mut().enumerate().for_each(|(n, byte)| *byte ^= mask[n % 4]);
    Ok((two[0], is_masked, payload))
}

/// Reads a head of HTTP.
pub(crate) fn head(input: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}
