//! Modifiers: the words after `|` in a field's key, and what they add up to.

use crate::glob::Place;
use crate::pattern::{Compare, TimePart};
use crate::regex::Flags;

/// Every modifier of Sigma 2.1 (appendix "Sigma Modifiers"), with the long names that pySigma accepts.
const MODIFIERS: &[(&str, Modifier)] = &[
    ("contains", Modifier::Place(Place::Contains)),
    ("startswith", Modifier::Place(Place::Start)),
    ("endswith", Modifier::Place(Place::End)),
    ("all", Modifier::All),
    ("neq", Modifier::NotEqual),
    ("cased", Modifier::Cased),
    ("exists", Modifier::Exists),
    ("windash", Modifier::Windash),
    ("re", Modifier::Regex),
    ("i", Modifier::IgnoreCase),
    ("ignorecase", Modifier::IgnoreCase),
    ("m", Modifier::MultiLine),
    ("multiline", Modifier::MultiLine),
    ("s", Modifier::DotAll),
    ("dotall", Modifier::DotAll),
    ("base64", Modifier::Encode(Encoding::Base64)),
    ("base64offset", Modifier::Encode(Encoding::Base64Offset)),
    ("wide", Modifier::Encode(Encoding::Utf16Le)),
    ("utf16le", Modifier::Encode(Encoding::Utf16Le)),
    ("utf16be", Modifier::Encode(Encoding::Utf16Be)),
    ("utf16", Modifier::Encode(Encoding::Utf16)),
    ("cidr", Modifier::Cidr),
    ("lt", Modifier::Compare(Compare::Less)),
    ("lte", Modifier::Compare(Compare::LessOrEqual)),
    ("gt", Modifier::Compare(Compare::Greater)),
    ("gte", Modifier::Compare(Compare::GreaterOrEqual)),
    ("minute", Modifier::Time(TimePart::Minute)),
    ("hour", Modifier::Time(TimePart::Hour)),
    ("day", Modifier::Time(TimePart::Day)),
    ("week", Modifier::Time(TimePart::Week)),
    ("month", Modifier::Time(TimePart::Month)),
    ("year", Modifier::Time(TimePart::Year)),
    ("expand", Modifier::Expand),
    ("fieldref", Modifier::FieldRef),
];

/// One modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modifier {
    Place(Place),
    All,
    NotEqual,
    Cased,
    Exists,
    Windash,
    Regex,
    IgnoreCase,
    MultiLine,
    DotAll,
    Encode(Encoding),
    Cidr,
    Compare(Compare),
    Time(TimePart),
    Expand,
    FieldRef,
}

/// How a value is encoded before it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf16Le,
    Utf16Be,
    /// Little-endian after a byte order mark.
    Utf16,
    Base64,
    /// Base64 at each of the three positions that text can have in a longer encoded one.
    Base64Offset,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A Sigma string, or null.
    #[default]
    Text,
    Regex,
    Cidr,
    Exists,
    Number,
    FieldRef,
}

/// What a key's modifiers add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one modifier, and any of them can stand with any other")]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) place: Option<Place>,
    pub(crate) all: bool,
    pub(crate) negated: bool,
    pub(crate) cased: bool,
    pub(crate) windash: bool,
    pub(crate) expand: bool,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) flags: Flags,
    pub(crate) compare: Option<Compare>,
    pub(crate) part: Option<TimePart>,
}

impl Modifier {
    /// The modifier of this name; names are written in lower case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        MODIFIERS.iter().find(|(known, _)| *known == name).map(|(_, modifier)| *modifier)
    }

    /// Every name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        MODIFIERS.iter().map(|(name, _)| *name)
    }
}

impl Plan {
    /// Adds the next modifier.
    ///
    /// # Errors
    /// Why it cannot stand after those before it.
    pub(crate) fn add(&mut self, modifier: Modifier) -> Result<(), &'static str> {
        match modifier {
            Modifier::All => once(&mut self.all),
            Modifier::NotEqual if self.subject == Subject::Exists => Err("write `exists: false`"),
            Modifier::NotEqual => once(&mut self.negated),
            Modifier::Place(place) => self.add_place(place),
            Modifier::Cased if self.subject == Subject::Regex => {
                Err("regular expressions are case-sensitive unless `i` follows `re`")
            }
            Modifier::Cased if self.is(&[Subject::Text, Subject::FieldRef]) => once(&mut self.cased),
            Modifier::Cased => Err("what it modifies has no case"),
            Modifier::Windash if self.subject != Subject::Text => Err("it modifies plain strings"),
            Modifier::Windash if !self.encodings.is_empty() => Err("encoded text has no dashes to replace"),
            Modifier::Windash => once(&mut self.windash),
            Modifier::Expand if self.is(&[Subject::Text, Subject::Regex]) => once(&mut self.expand),
            Modifier::Expand => Err("it modifies plain strings and regular expressions"),
            Modifier::Regex => self.become_subject(Subject::Regex),
            Modifier::Cidr => self.become_subject(Subject::Cidr),
            Modifier::Exists if self.all || self.negated => Err("it stands alone"),
            Modifier::Exists => self.become_subject(Subject::Exists),
            Modifier::FieldRef => self.add_field_reference(),
            Modifier::IgnoreCase | Modifier::MultiLine | Modifier::DotAll => self.add_flag(modifier),
            Modifier::Encode(encoding) => self.add_encoding(encoding),
            Modifier::Compare(_) if self.compare.is_some() => Err("only one comparison can be made"),
            Modifier::Compare(compare) => {
                self.compare = Some(compare);
                if self.part.is_some() { Ok(()) } else { self.become_subject(Subject::Number) }
            }
            Modifier::Time(part) => {
                self.part = Some(part);
                self.become_subject(Subject::Number)
            }
        }
    }

    fn is(&self, subjects: &[Subject]) -> bool {
        subjects.contains(&self.subject)
    }

    /// Whether something has been said of the value as text.
    fn is_textual(&self) -> bool {
        self.place.is_some() || self.cased || self.windash || !self.encodings.is_empty()
    }

    fn become_subject(&mut self, subject: Subject) -> Result<(), &'static str> {
        if self.subject != Subject::Text {
            return Err("it contradicts a modifier before it");
        }
        if self.is_textual() || (self.expand && subject != Subject::Regex) {
            return Err("it comes before every other modifier");
        }
        self.subject = subject;
        Ok(())
    }

    fn add_field_reference(&mut self) -> Result<(), &'static str> {
        if self.subject != Subject::Text || self.windash || self.expand || !self.encodings.is_empty() {
            return Err("it contradicts a modifier before it");
        }
        self.subject = Subject::FieldRef;
        Ok(())
    }

    fn add_place(&mut self, place: Place) -> Result<(), &'static str> {
        if self.place.is_some() {
            return Err("only one of `contains`, `startswith` and `endswith` can be used");
        }
        if !self.is(&[Subject::Text, Subject::Regex, Subject::FieldRef]) {
            return Err("what it modifies is no text");
        }
        self.place = Some(place);
        Ok(())
    }

    fn add_flag(&mut self, modifier: Modifier) -> Result<(), &'static str> {
        if self.subject != Subject::Regex {
            return Err("it belongs after `re`");
        }
        match modifier {
            Modifier::IgnoreCase => once(&mut self.flags.ignore_case),
            Modifier::MultiLine => once(&mut self.flags.multi_line),
            _ => once(&mut self.flags.dot_all),
        }
    }

    fn add_encoding(&mut self, encoding: Encoding) -> Result<(), &'static str> {
        if self.subject != Subject::Text || self.windash {
            return Err("it contradicts a modifier before it");
        }
        if self.place.is_some() {
            return Err("encodings come before `contains`, `startswith` and `endswith`");
        }
        let base64 = self.encodings.iter().any(|before| matches!(before, Encoding::Base64 | Encoding::Base64Offset));
        if base64 || self.encodings.contains(&encoding) {
            return Err("the value is already encoded");
        }
        self.encodings.push(encoding);
        Ok(())
    }
}

fn once(flag: &mut bool) -> Result<(), &'static str> {
    if *flag {
        return Err("it stands twice");
    }
    *flag = true;
    Ok(())
}
