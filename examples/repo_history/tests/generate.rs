//! Random histories, as streams for `git fast-import`: whatever can become of a file does, and what it
//! is called is odd now and then.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

/// Writes a stream for `git fast-import`.
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    commits: u64,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), commits: 0 }
    }

    /// Begins a commit on a branch, which is marked with its number; gives that number.
    pub(super) fn commit(&mut self, branch: &str, author: &str, parents: &[u64]) -> u64 {
        self.commits += 1;
        let (number, time) = (self.commits, 1_600_000_000 + self.commits);
        self.line(&format!("commit refs/heads/{branch}\nmark :{number}"));
        self.line(&format!("committer {author} <{author}@example.org> {time} +0000"));
        self.data(format!("commit {number}").as_bytes());
        for (parent, word) in parents.iter().zip(["from", "merge"]) {
            self.line(&format!("{word} :{parent}"));
        }
        number
    }

    pub(super) fn put(&mut self, path: &[u8], file: &File) {
        if file.mode == "160000" {
            return self.line(&format!("M 160000 {} {}", "5".repeat(40), quoted(path)));
        }
        self.line(&format!("M {} inline {}", file.mode, quoted(path)));
        self.data(&file.content);
    }

    pub(super) fn delete(&mut self, path: &[u8]) {
        self.line(&format!("D {}", quoted(path)));
    }

    pub(super) fn rename(&mut self, from: &[u8], to: &[u8]) {
        self.line(&format!("R {} {}", quoted(from), quoted(to)));
    }

    fn data(&mut self, data: &[u8]) {
        self.line(&format!("data {}", data.len()));
        self.bytes.extend_from_slice(data);
        self.line("");
    }

    fn line(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
    }
}

fn quoted(path: &[u8]) -> String {
    let octal: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("\"{octal}\"")
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) mode: &'static str,
    pub(super) content: Vec<u8>,
}

impl File {
    pub(super) fn plain(content: &[u8]) -> Self {
        Self { mode: "100644", content: content.to_owned() }
    }
}

type Files = BTreeMap<Vec<u8>, File>;

/// A history of at least so many changes on the branch `main`.
pub(super) fn history(changes: u64, seed: u64) -> Vec<u8> {
    let mut random = Random(Rng::with_seed(seed));
    let (mut stream, mut files, mut gone) = (Stream::new(), Files::new(), Vec::new());
    let (mut done, mut last) = (0, None);
    while done < changes {
        let parents: Vec<u64> = last.into_iter().collect();
        let author = format!("author{}", random.0.u8(0..20));
        if last.is_some() && random.one_in(12) {
            // A branch of one commit, and its merge.
            let side = stream.commit("side", &author, &parents);
            let path = random.path();
            let file = random.file();
            stream.put(&path, &file);
            last = Some(stream.commit("main", "merger", &[parents[0], side]));
            stream.put(&path, &file);
            files.insert(path, file);
            done += 1;
        } else {
            last = Some(stream.commit("main", &author, &parents));
            done += random.changes(&mut stream, &mut files, &mut gone);
        }
    }
    stream.bytes
}

struct Random(Rng);

impl Random {
    fn one_in(&mut self, times: u32) -> bool {
        self.0.u32(0..times) == 0
    }

    /// Some changes, each to another file; now and then none.
    fn changes(&mut self, stream: &mut Stream, files: &mut Files, gone: &mut Vec<Vec<u8>>) -> u64 {
        let mut touched = BTreeSet::new();
        let wanted = if self.one_in(20) { 0 } else { self.0.u64(1..8) };
        for _ in 0..wanted {
            let (path, file) = match files.len() {
                0..10 => (self.path(), None),
                _ if self.one_in(4) => (self.path_again(gone), None),
                many => {
                    let (path, file) = files.iter().nth(self.0.usize(0..many)).unwrap();
                    (path.clone(), Some(file.clone()))
                }
            };
            if !touched.insert(path.clone()) {
                continue;
            }
            match file {
                Some(_) if self.one_in(10) => {
                    stream.delete(&path);
                    files.remove(&path);
                    gone.push(path);
                }
                Some(file) if self.one_in(8) => {
                    let to = self.path();
                    if !files.contains_key(&to) && touched.insert(to.clone()) {
                        stream.rename(&path, &to);
                        files.remove(&path);
                        let file = if self.one_in(2) { self.edited(file) } else { file };
                        stream.put(&to, &file);
                        files.insert(to, file);
                        gone.push(path);
                    }
                }
                file => {
                    let file = match file {
                        Some(file) => self.edited(file),
                        None => self.file(),
                    };
                    stream.put(&path, &file);
                    files.insert(path, file);
                }
            }
        }
        touched.len() as u64
    }

    fn path(&mut self) -> Vec<u8> {
        let number = self.0.u32(..);
        let name: &[u8] = match self.0.u8(0..20) {
            0 => b"new\nline",
            1 => b"\"quoted\" and\ttabbed",
            2 => b"-rf",
            3 => b"latin-\xe9\xff",
            4 => b"100%25",
            5 => "\u{1f980} \u{fc}".as_bytes(),
            6 => b":100644 000000 R100",
            7 => b" \x01\x7f",
            _ => b"plain.txt",
        };
        let folder = format!("d{}/{}-{number:08x} ", number % 9, number % 5);
        [folder.as_bytes(), name].concat()
    }

    /// A path of a file that is gone, if there is one, or a new one.
    fn path_again(&mut self, gone: &mut Vec<Vec<u8>>) -> Vec<u8> {
        if self.one_in(2) { gone.pop() } else { None }.unwrap_or_else(|| self.path())
    }

    fn file(&mut self) -> File {
        let mode = match self.0.u8(0..20) {
            0 => "100755",
            1 => "120000",
            2 => "160000",
            _ => "100644",
        };
        File { mode, content: self.content() }
    }

    fn content(&mut self) -> Vec<u8> {
        match self.0.u8(0..20) {
            0 => Vec::new(),
            1 => [&b"\0"[..], &self.0.u64(..).to_be_bytes()].concat(),
            // A NUL that git doesn't look for, so far behind is it.
            2 => [&b"far\n".repeat(2_100)[..], b"\0"].concat(),
            3 => b"no line feed".to_vec(),
            4 => b"\n\n\n".to_vec(),
            5 => b"carriage\r\nreturns\r".to_vec(),
            _ => (0..self.0.u8(1..40)).flat_map(|_| self.line()).collect(),
        }
    }

    fn line(&mut self) -> Vec<u8> {
        format!("line {}\n", self.0.u8(0..30)).into_bytes()
    }

    /// The same file with a line more or less, another mode, or other content.
    fn edited(&mut self, file: File) -> File {
        match self.0.u8(0..12) {
            0 => self.file(),
            1 if file.mode == "100644" => File { mode: "100755", ..file },
            2 => File { content: [&file.content[..], b"no line feed"].concat(), ..file },
            3 => File { content: half(&file.content), ..file },
            _ => File { content: [self.line(), file.content].concat(), ..file },
        }
    }
}

fn half(content: &[u8]) -> Vec<u8> {
    content[content.len() / 2..].to_vec()
}
