//! A ZIP archive that is written as a stream: what was written is taken out at once. Sizes stand behind each file and need not be known before
//! (APPNOTE, section 4.3.9), also those above 4 GiB.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use zip::{
    CompressionMethod, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

/// What was written and not taken yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive that is being written.
pub(super) struct Archive {
    writer: Option<ZipWriter<StreamWriter<Written>>>,
    written: Written,
}

impl Archive {
    pub(super) fn new() -> Self {
        let written = Written::default();
        Self { writer: Some(ZipWriter::new_stream(written.clone())), written }
    }

    fn writer(&mut self) -> io::Result<&mut ZipWriter<StreamWriter<Written>>> {
        self.writer.as_mut().ok_or_else(|| io::Error::other("the archive is finished"))
    }

    /// Begins the next file.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), ZipError> {
        // Level 1: the instance's other requests wait meanwhile.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .large_file(true);
        self.writer()?.start_file(name, options)
    }

    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        self.write_bytes(text.as_bytes())
    }

    pub(super) fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer()?.write_all(bytes)
    }

    /// A JSON object in a line of its own.
    pub(super) fn line(&mut self, value: &Value) -> io::Result<()> {
        self.write(&format!("{value}\n"))
    }

    /// Ends the archive.
    pub(super) fn finish(&mut self) -> Result<(), ZipError> {
        self.writer.take().map_or(Ok(()), |writer| writer.finish().map(drop))
    }

    /// Takes out what was written since.
    pub(super) fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut *self.written.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
