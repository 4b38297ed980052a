//! Backslash escapes of `$'…'`, `echo -e` and `printf`.

/// The bytes that `$'…'` stands for (bash 5.2, "ANSI-C Quoting").
pub(super) fn ansi_c(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        rest = one(after.get(1..).unwrap_or_default(), &mut out, false);
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// The bytes that `echo -e` or `printf` makes of a text: octal escapes may be `\0NNN`, `\c` ends the output.
pub(super) fn echo(text: &str) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let after = after.get(1..).unwrap_or_default();
        if after.starts_with('c') {
            return (out, true);
        }
        rest = one(after, &mut out, true);
    }
    out.extend_from_slice(rest.as_bytes());
    (out, false)
}

/// Whether escapes spell printable characters that could stand for themselves.
pub(super) fn hides(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let after = rest.get(at + 1..).unwrap_or_default();
        let mut out = Vec::new();
        let numeric = after.starts_with(['x', 'u', 'U', '0', '1', '2', '3', '4', '5', '6', '7']);
        rest = one(after, &mut out, false);
        if numeric && out.iter().all(u8::is_ascii_graphic) {
            return true;
        }
    }
    false
}

/// Reads one escape after its backslash; gives what follows.
fn one<'t>(after: &'t str, out: &mut Vec<u8>, echo: bool) -> &'t str {
    let mut chars = after.chars();
    let Some(c) = chars.next() else {
        out.push(b'\\');
        return after;
    };
    let rest = chars.as_str();
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'e' | 'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '\'' | '"' | '?' if !echo => u8::try_from(c).unwrap_or(b'?'),
        'x' => return number(rest, after, 16, 2, out),
        'u' => return number(rest, after, 16, 4, out),
        'U' => return number(rest, after, 16, 8, out),
        '0' if echo => return number(rest, rest, 8, 3, out),
        '0'..='7' => return number(after, after, 8, 3, out),
        'c' if !echo => {
            out.extend(rest.bytes().next().map(|b| b & 0x1f));
            return rest.get(1..).unwrap_or_default();
        }
        _ => {
            out.push(b'\\');
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest;
        }
    };
    out.push(simple);
    rest
}

fn number<'t>(digits: &'t str, whole: &'t str, radix: u32, most: usize, out: &mut Vec<u8>) -> &'t str {
    let len = digits.chars().take(most).take_while(|c| c.is_digit(radix)).count();
    let (number, rest) = digits.split_at(len);
    let value = u32::from_str_radix(number, radix).ok();
    match value {
        None if radix == 8 => out.push(0),
        None => {
            out.push(b'\\');
            out.extend(whole.bytes().next());
        }
        Some(value) if most <= 3 => out.extend(u8::try_from(value & 0xff)),
        Some(value) => out.extend(char::from_u32(value).unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]).bytes()),
    }
    rest
}
