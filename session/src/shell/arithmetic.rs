//! Shell arithmetic over values that are known (bash 5.2, "Shell Arithmetic").

use super::parser::identifier;
use super::state::{Shell, Value};

impl Shell {
    /// The value of an expression after expansion; `None` if it is not known or not an expression.
    pub(super) fn arithmetic(&mut self, text: &str) -> Option<i64> {
        let mut reader = Reader { shell: self, rest: text, depth: 0 };
        let value = reader.comma();
        reader.rest.trim_start().is_empty().then_some(value).flatten()
    }
}

struct Reader<'s, 't> {
    shell: &'s mut Shell,
    rest: &'t str,
    depth: usize,
}

/// Binary operators, loosest first; within a level longest first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const ASSIGNMENTS: [&str; 11] = ["<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "="];

/// Deepest nesting of parentheses and signs.
const MAX_DEPTH: usize = 32;

impl Reader<'_, '_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn comma(&mut self) -> Option<i64> {
        let mut value = self.assign()?;
        while self.eat(",") {
            value = self.assign()?;
        }
        Some(value)
    }

    fn assign(&mut self) -> Option<i64> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH || !self.shell.budget.spend(1) { None } else { self.assign_inner() };
        self.depth -= 1;
        value
    }

    fn assign_inner(&mut self) -> Option<i64> {
        self.skip();
        let name = identifier(self.rest);
        let after = self.rest.get(name.len()..).unwrap_or_default().trim_start();
        let operator = ASSIGNMENTS.iter().find(|op| after.starts_with(**op) && !after.starts_with("=="));
        let Some(operator) = operator.filter(|_| !name.is_empty()) else { return self.ternary() };
        self.rest = after.get(operator.len()..).unwrap_or_default();
        let right = self.assign()?;
        let value = match operator.strip_suffix('=').filter(|op| !op.is_empty()) {
            Some(op) => apply(op, self.variable(name)?, right)?,
            None => right,
        };
        self.shell.set(name, Value::Text(value.to_string()));
        Some(value)
    }

    fn ternary(&mut self) -> Option<i64> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Some(condition);
        }
        let yes = self.assign()?;
        if !self.eat(":") {
            return None;
        }
        let no = self.assign()?;
        Some(if condition == 0 { no } else { yes })
    }

    fn binary(&mut self, level: usize) -> Option<i64> {
        let Some(operators) = LEVELS.get(level) else { return self.power() };
        let mut left = self.binary(level + 1)?;
        'next: loop {
            self.skip();
            for operator in *operators {
                if self.at_operator(operator) {
                    self.rest = self.rest.get(operator.len()..).unwrap_or_default();
                    let right = self.binary(level + 1)?;
                    left = apply(operator, left, right)?;
                    continue 'next;
                }
            }
            return Some(left);
        }
    }

    /// Whether exactly this operator stands here, not a longer one.
    fn at_operator(&self, operator: &str) -> bool {
        let Some(after) = self.rest.strip_prefix(operator) else { return false };
        let next = after.bytes().next();
        match operator {
            "|" => next != Some(b'|'),
            "&" => next != Some(b'&'),
            "<" => next != Some(b'<'),
            ">" => next != Some(b'>'),
            "*" => next != Some(b'*'),
            _ => true,
        }
    }

    fn power(&mut self) -> Option<i64> {
        let base = self.unary()?;
        if !self.eat("**") {
            return Some(base);
        }
        let exponent = u32::try_from(self.unary()?).ok()?;
        Some(base.wrapping_pow(exponent))
    }

    fn unary(&mut self) -> Option<i64> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { None } else { self.unary_inner() };
        self.depth -= 1;
        value
    }

    fn unary_inner(&mut self) -> Option<i64> {
        self.skip();
        for (sign, step) in [("++", 1), ("--", -1)] {
            let after = self.rest.strip_prefix(sign).map(str::trim_start).unwrap_or_default();
            let name = identifier(after);
            if !name.is_empty() {
                self.rest = after.get(name.len()..).unwrap_or_default();
                let value = self.variable(name)?.wrapping_add(step);
                self.shell.set(name, Value::Text(value.to_string()));
                return Some(value);
            }
        }
        if self.eat("-") {
            return Some(self.unary()?.wrapping_neg());
        }
        if self.eat("+") {
            return self.unary();
        }
        if self.eat("!") {
            return Some(i64::from(self.unary()? == 0));
        }
        if self.eat("~") {
            return Some(!self.unary()?);
        }
        self.atom()
    }

    fn atom(&mut self) -> Option<i64> {
        if self.eat("(") {
            let value = self.comma()?;
            return self.eat(")").then_some(value);
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number();
        }
        let name = identifier(self.rest);
        if name.is_empty() {
            return None;
        }
        self.rest = self.rest.get(name.len()..).unwrap_or_default();
        let value = self.variable(name)?;
        for (sign, step) in [("++", 1), ("--", -1)] {
            if self.eat(sign) {
                self.shell.set(name, Value::Text(value.wrapping_add(step).to_string()));
            }
        }
        Some(value)
    }

    fn number(&mut self) -> Option<i64> {
        let len =
            self.rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'#' | b'@' | b'_')).count();
        let (digits, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        if let Some((base, digits)) = digits.split_once('#') {
            let base: i64 = base.parse().ok().filter(|base| (2..=64).contains(base))?;
            return digits.bytes().try_fold(0_i64, |value, byte| {
                let digit = digit(byte, base).filter(|digit| *digit < base)?;
                Some(value.wrapping_mul(base).wrapping_add(digit))
            });
        }
        if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            return i64::from_str_radix(hex, 16).ok();
        }
        match digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
            Some(octal) => i64::from_str_radix(octal, 8).ok(),
            None => digits.parse().ok(),
        }
    }

    /// A variable's number: one never set counts as 0, as in a shell.
    fn variable(&self, name: &str) -> Option<i64> {
        match self.shell.value(name) {
            None => Some(0),
            Some(Value::Text(text)) if text.trim().is_empty() => Some(0),
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(Value::List(_) | Value::Unknown) => None,
        }
    }
}

fn digit(byte: u8, base: i64) -> Option<i64> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'z' => byte - b'a' + 10,
        b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
        b'A'..=b'Z' => byte - b'A' + 36,
        b'@' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(i64::from(value))
}

fn apply(operator: &str, left: i64, right: i64) -> Option<i64> {
    Some(match operator {
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" => left.checked_div(right)?,
        "%" => left.checked_rem(right)?,
        "<<" => left.wrapping_shl(u32::try_from(right).ok()?),
        ">>" => left.wrapping_shr(u32::try_from(right).ok()?),
        "&" => left & right,
        "|" => left | right,
        "^" => left ^ right,
        "&&" => i64::from(left != 0 && right != 0),
        "||" => i64::from(left != 0 || right != 0),
        "==" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<" => i64::from(left < right),
        ">" => i64::from(left > right),
        "<=" => i64::from(left <= right),
        ">=" => i64::from(left >= right),
        _ => return None,
    })
}
