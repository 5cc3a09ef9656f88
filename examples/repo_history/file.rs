//! A file: one stream for each path that the history ever had.

use highwater::prelude::*;
use serde::{Deserialize, Serialize};

use crate::path::Path;

/// A file as git stores it: its mode, and the blob of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) mode: Mode,
    /// The object's name, in hexadecimal.
    pub(crate) blob: String,
}

/// The kinds of files that git knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Plain,
    Executable,
    Symlink,
    Submodule,
}

/// The number of lines of a file; `None` if it is binary. A last line without a line feed counts, the
/// target of a symbolic link is a line, and so is the commit of a submodule: that is how git counts.
pub(crate) type Lines = Option<u64>;

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "file")]
pub(crate) enum FileEvent {
    Added {
        content: Content,
        lines: Lines,
    },
    RenamedHere {
        from: Path,
        content: Content,
        lines: Lines,
    },
    /// New content, with the difference that git counts.
    Edited {
        content: Content,
        added: u64,
        deleted: u64,
    },
    /// New content that git can't count against the old, because one of the two is binary.
    Replaced {
        content: Content,
        lines: Lines,
    },
    RenamedAway {
        to: Path,
    },
    Deleted,
}

#[derive(Aggregate, Debug, Default, Clone)]
#[aggregate(event = FileEvent, snapshot(every = 500))]
#[invariant(never_below_zero_lines, "no file has fewer than zero lines")]
#[invariant(
    never_edited_after_deletion,
    "what has been deleted, renamed away or never added is not edited: it must be added first"
)]
pub(crate) struct File {
    /// `None` if the file isn't there.
    pub(crate) content: Option<Content>,
    /// Signed, so that a state below zero can be seen and refused.
    pub(crate) lines: Option<i64>,
    edited_while_absent: bool,
}

impl File {
    fn apply(&mut self, event: &FileEvent) {
        self.edited_while_absent |= event.needs_the_file() && self.content.is_none();
        match event {
            FileEvent::Added { content, lines }
            | FileEvent::RenamedHere { content, lines, .. }
            | FileEvent::Replaced { content, lines } => {
                self.content = Some(content.clone());
                self.lines = lines.map(u64::cast_signed);
            }
            FileEvent::Edited { content, added, deleted } => {
                self.content = Some(content.clone());
                let change = added.cast_signed() - deleted.cast_signed();
                self.lines = self.lines.map(|lines| lines + change);
            }
            FileEvent::RenamedAway { .. } | FileEvent::Deleted => {
                self.content = None;
                self.lines = None;
            }
        }
    }

    fn never_below_zero_lines(&self) -> Check {
        Check::that(self.lines.is_none_or(|lines| lines >= 0)).with("lines", self.lines)
    }

    fn never_edited_after_deletion(&self) -> bool {
        !self.edited_while_absent
    }

    fn must_be_absent(&self) -> Result<(), Rejection> {
        match &self.content {
            None => Ok(()),
            Some(content) => Err(Rejection::new("added_once", "the file is there already")
                .with("blob", &content.blob)),
        }
    }
}

impl FileEvent {
    fn needs_the_file(&self) -> bool {
        !matches!(self, Self::Added { .. } | Self::RenamedHere { .. })
    }
}

#[derive(Command)]
pub(crate) struct Add {
    pub(crate) content: Content,
    pub(crate) lines: Lines,
}

impl Decide<Add> for File {
    fn decide(&self, add: &Add, _: &Context) -> Decision<FileEvent> {
        self.must_be_absent()?;
        Ok(vec![FileEvent::Added { content: add.content.clone(), lines: add.lines }])
    }
}

#[derive(Command)]
pub(crate) struct RenameHere {
    pub(crate) from: Path,
    pub(crate) content: Content,
    pub(crate) lines: Lines,
}

impl Decide<RenameHere> for File {
    fn decide(&self, rename: &RenameHere, _: &Context) -> Decision<FileEvent> {
        self.must_be_absent()?;
        let (from, content) = (rename.from.clone(), rename.content.clone());
        Ok(vec![FileEvent::RenamedHere { from, content, lines: rename.lines }])
    }
}

#[derive(Command)]
pub(crate) struct Edit {
    pub(crate) content: Content,
    pub(crate) added: u64,
    pub(crate) deleted: u64,
}

impl Decide<Edit> for File {
    fn decide(&self, edit: &Edit, _: &Context) -> Decision<FileEvent> {
        let Edit { added, deleted, .. } = *edit;
        Ok(vec![FileEvent::Edited { content: edit.content.clone(), added, deleted }])
    }
}

#[derive(Command)]
pub(crate) struct Replace {
    pub(crate) content: Content,
    pub(crate) lines: Lines,
}

impl Decide<Replace> for File {
    fn decide(&self, replace: &Replace, _: &Context) -> Decision<FileEvent> {
        let (content, lines) = (replace.content.clone(), replace.lines);
        Ok(vec![FileEvent::Replaced { content, lines }])
    }
}

#[derive(Command)]
pub(crate) struct RenameAway {
    pub(crate) to: Path,
}

impl Decide<RenameAway> for File {
    fn decide(&self, rename: &RenameAway, _: &Context) -> Decision<FileEvent> {
        Ok(vec![FileEvent::RenamedAway { to: rename.to.clone() }])
    }
}

#[derive(Command)]
pub(crate) struct Delete {}

impl Decide<Delete> for File {
    fn decide(&self, _: &Delete, _: &Context) -> Decision<FileEvent> {
        Ok(vec![FileEvent::Deleted])
    }
}

impl Mode {
    /// From the octal number that git prints. Some old trees have modes like 100664, which git takes
    /// for 100644, too.
    pub(crate) fn from_git(octal: &[u8]) -> Option<Self> {
        let mode = u32::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?;
        match mode & 0o170_000 {
            0o100_000 if mode & 0o100 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::Plain),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }

    pub(crate) fn as_octal(self) -> &'static str {
        match self {
            Self::Plain => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }
}
