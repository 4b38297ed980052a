//! The syntax tree of shell text, as far as a static reading needs it.

use std::cell::OnceCell;
use std::rc::Rc;

/// Commands in order, each with what joins it to the one before.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) entries: Vec<Entry>,
}

/// One pipeline of a list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) join: Join,
    pub(super) negated: bool,
    pub(super) stages: Vec<Command>,
}

/// What stands before a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// `;`, `&`, a newline or the start.
    Then,
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// One stage of a pipeline.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) node: Node,
    pub(super) redirects: Vec<Redirect>,
}

#[derive(Debug)]
pub(super) enum Node {
    Simple(Simple),
    /// `( … )`: its assignments are lost at its end.
    Subshell(Script),
    Group(Script),
    If {
        arms: Vec<(Script, Script)>,
        otherwise: Script,
    },
    Loop {
        until: bool,
        condition: Script,
        body: Script,
    },
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Script,
    },
    ForArith {
        parts: Vec<Word>,
        body: Script,
    },
    Case {
        subject: Word,
        arms: Vec<(Vec<Word>, Script)>,
    },
    Function {
        name: String,
        body: Rc<Command>,
    },
    /// `(( … ))`.
    Arith(Word),
    /// `[[ … ]]`.
    Test(Vec<Word>),
}

#[derive(Debug, Default)]
pub(super) struct Simple {
    pub(super) assignments: Vec<Assignment>,
    pub(super) words: Vec<Word>,
}

/// `name=value`, `name+=value`, `name[index]=value`, `name=(…)`.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) index: Option<String>,
    pub(super) append: bool,
    pub(super) value: Word,
}

#[derive(Debug)]
pub(super) struct Redirect {
    pub(super) fd: Option<u32>,
    pub(super) kind: RedirectKind,
}

#[derive(Debug)]
pub(super) enum RedirectKind {
    Input(Word),
    Output {
        target: Word,
        append: bool,
    },
    /// `<&`, `>&`.
    Duplicate(Word),
    HereDoc(Rc<HereDoc>),
    HereString(Word),
}

/// A here-document; its body is known once the line's newline has been read.
#[derive(Debug)]
pub(super) struct HereDoc {
    pub(super) delimiter: String,
    /// `<<-`: leading tabs are dropped.
    pub(super) tabs: bool,
    /// A quoted delimiter: the body is literal.
    pub(super) literal: bool,
    pub(super) body: OnceCell<Word>,
}

/// One word before expansion.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) parts: Vec<Part>,
    /// Quotes or escapes stand where nothing needs them (`r""m`, `c\at`, `$'\x72m'`).
    pub(super) odd: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Unquoted text: braces, blanks of an expansion and globs work in it.
    Plain(String),
    /// Quoted or escaped text.
    Quoted(String),
    Param(Rc<Param>, Quoting),
    /// `$( … )` or backticks, with its text.
    Command(Rc<Script>, Rc<str>, Quoting),
    /// `$(( … ))`, with its text.
    Arith(Rc<Word>, Rc<str>, Quoting),
    /// `<( … )` or `>( … )`, with its text.
    Process(Rc<Script>, Rc<str>),
    /// The list of `name=( … )`.
    Array(Rc<[Word]>),
}

/// Whether double quotes surround an expansion, so that its value is not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    Bare,
    Double,
}

/// `$name` or `${…}`.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: String,
    pub(super) index: Option<Word>,
    pub(super) op: ParamOp,
    /// The expansion as written, which stands for a value that is not known.
    pub(super) raw: String,
}

#[derive(Debug)]
pub(super) enum ParamOp {
    Value,
    /// `${#x}`.
    Length,
    /// `${!x}`.
    Indirect,
    /// `${!x*}`, `${!x@}`.
    Names,
    /// `${x-w}`, `${x:-w}`, `${x=w}`, `${x:=w}`.
    Default {
        word: Word,
        colon: bool,
        assign: bool,
    },
    /// `${x+w}`, `${x:+w}`.
    Alternative {
        word: Word,
        colon: bool,
    },
    /// `${x?w}`.
    Require,
    /// `${x:offset:length}`.
    Slice {
        offset: Word,
        length: Option<Word>,
    },
    /// `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`.
    Trim {
        pattern: Word,
        end: bool,
        longest: bool,
    },
    /// `${x/p/r}`, `${x//p/r}`, `${x/#p/r}`, `${x/%p/r}`.
    Replace {
        pattern: Word,
        with: Word,
        how: Replace,
    },
    /// `${x^}`, `${x^^}`, `${x,}`, `${x,,}`, `${x~}`, `${x~~}`.
    Case {
        change: u8,
        all: bool,
    },
    /// `${x@Q}` and the like, and whatever else is not read.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    First,
    All,
    Start,
    End,
}

impl Word {
    /// A word of literal text.
    pub(super) fn literal(text: &str) -> Self {
        Self { parts: vec![Part::Quoted(text.to_owned())], odd: false }
    }

    /// The text of a word that is only unquoted literal text.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }
}
