//! Where the server's database is: in memory, or for some seeds a file, of which a crash leaves whatever is on the disk.

use std::path::{Path, PathBuf};

use convene_store::{Engine, EngineOptions, Reader};

use crate::report::{Broken, Check, Invariant};

/// See the module.
#[derive(Debug)]
pub(crate) enum Place {
    Memory,
    File { folder: tempfile::TempDir, number: u32 },
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) reader: Reader,
}

impl Opened {
    fn new(engine: Engine) -> Check<Self> {
        Ok(Self { reader: engine.reader()?, engine })
    }
}

impl Place {
    pub(crate) fn new(file: bool) -> Check<Self> {
        if !file {
            return Ok(Self::Memory);
        }
        // A file system in memory: nobody pulls this machine's plug.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Ok(Self::File { folder: folder.map_err(broken)?, number: 0 })
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Memory => None,
            Self::File { folder, number } => Some(folder.path().join(format!("chat-{number}.db"))),
        }
    }

    pub(crate) fn open(&self) -> Check<Opened> {
        let options = EngineOptions::default;
        Opened::new(match self.path() {
            None => Engine::in_memory(options())?,
            Some(path) => Engine::open(&path, options())?,
        })
    }

    /// After a crash: nothing of the engine's memory is left. Of a file goes on what was in it at this instant, without
    /// what closing it would write.
    pub(crate) fn reopen(&mut self, mut opened: Opened) -> Check<Opened> {
        let Some(before) = self.path() else {
            opened.engine.reset();
            return Ok(opened);
        };
        if let Self::File { number, .. } = self {
            *number += 1;
        }
        let after = self.path().unwrap_or_default();
        for part in ["", "-wal"] {
            let name = |path: &Path| format!("{}{part}", path.display());
            if Path::new(&name(&before)).exists() {
                std::fs::copy(name(&before), name(&after)).map_err(broken)?;
            }
        }
        drop(opened);
        for part in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{part}", before.display())); // not every part is there
        }
        self.open()
    }

    /// Every byte that is on the disk.
    pub(crate) fn bytes(&self) -> Check<Vec<u8>> {
        let Some(path) = self.path() else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        for part in ["", "-wal"] {
            let name = format!("{}{part}", path.display());
            if Path::new(&name).exists() {
                bytes.extend(std::fs::read(name).map_err(broken)?);
            }
        }
        Ok(bytes)
    }
}

fn broken(error: std::io::Error) -> Broken {
    Broken { invariant: Invariant::Store, detail: error.to_string() }
}
