//! Embeds the built page: every file of `static/dist` in two encodings, or as it is if they save nothing, and a table of them. Without a built page it embeds one that
//! says how to build it, so that everything else works without npm.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

const DIST: &str = "../../static/dist";

/// The page has some thirty files, most of them fonts for formulas. More files are probably there by mistake.
const MAX_FILES: usize = 500;

/// The page when none was built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Edge Assistant</title>\
    <p>The page is not built yet. Run <code>cargo dev up</code>.</p></html>\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DIST}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let dist = Path::new(DIST);
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(dist, "", &mut files)?;
    } else {
        println!("cargo::warning=static/dist is missing: this build serves a page that says so. Run `cargo dev up`.");
        files.push(("/index.html".to_owned(), NOT_BUILT.as_bytes().to_vec()));
    }
    files.sort();

    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for (index, (path, bytes)) in files.iter().enumerate() {
        let (brotli, gzip) = (brotli(bytes)?, gzip(bytes)?);
        let forms = if brotli.len().max(gzip.len()) < bytes.len() {
            let brotli = embed(&out, &format!("{index}.br"), &brotli)?;
            let gzip = embed(&out, &format!("{index}.gz"), &gzip)?;
            format!("Forms::Packed {{ brotli: {brotli}, gzip: {gzip}, plain_etag: {} }}", etag(bytes)?)
        } else {
            format!("Forms::Plain({})", embed(&out, &index.to_string(), bytes)?)
        };
        let content_type = content_type(path)?;
        let hashed = path.starts_with("/assets/");
        writeln!(
            table,
            "    Asset {{ path: {path:?}, content_type: {content_type:?}, hashed: {hashed}, forms: {forms} }},"
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// Reads the files under `dir`, with the paths that the browser requests.
fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{DIST}: {name:?} is not UTF-8; rename it"))?;
        let path = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            let bytes = fs::read(entry.path())?;
            let bytes = if path.ends_with(".json") { without_spaces(&bytes)? } else { bytes };
            files.push((path, bytes));
        }
        if files.len() > MAX_FILES {
            return Err(format!("{DIST} has more than {MAX_FILES} files; is it really the built page?").into());
        }
    }
    Ok(())
}

/// JSON has its spaces for people who compare its versions; programs read it without them.
fn without_spaces(json: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let value: serde_json::Value = serde_json::from_slice(json)?;
    Ok(serde_json::to_vec(&value)?)
}

/// Writes the bytes beside the table and returns the expression that embeds them.
fn embed(out: &Path, name: &str, bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    fs::write(out.join(name), bytes)?;
    Ok(format!("Encoded {{ bytes: include_bytes!({name:?}), etag: {} }}", etag(bytes)?))
}

/// The expression of an entity tag. Half of a SHA-256 is enough to tell versions apart. The encodings have different bytes, so their tags differ too.
fn etag(bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let tag = Sha256::digest(bytes).iter().take(16).try_fold(String::new(), |mut tag, byte| {
        write!(tag, "{byte:02x}")?;
        Ok::<_, std::fmt::Error>(tag)
    })?;
    Ok(format!("\"\\\"{tag}\\\"\""))
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoded = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, size_hint: bytes.len(), ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut encoded, &parameters)?;
    Ok(encoded)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// With `nosniff` a wrong type breaks the page, so an unknown kind of file stops the build.
fn content_type(path: &str) -> Result<&'static str, Box<dyn Error>> {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => Ok("application/json"),
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        Some("png") => Ok("image/png"),
        Some("ico") => Ok("image/x-icon"),
        Some("txt") => Ok("text/plain; charset=utf-8"),
        Some("webmanifest") => Ok("application/manifest+json"),
        Some("woff2") => Ok("font/woff2"),
        _ => Err(format!("{DIST}{path}: its media type is not known; add it to components/ui/build.rs").into()),
    }
}
