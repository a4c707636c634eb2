//! Lists the files of `migrations/` with the hash of each text. Every instance compares the hashes with those of its database; so none has to make them.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

const FOLDER: &str = "../../migrations";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in fs::read_dir(FOLDER)? {
        let path = fs::canonicalize(entry?.path())?;
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        if let Some(name) = file.strip_suffix(".sql") {
            found.insert(name.to_owned(), path);
        }
    }
    let (mut list, mut last) = ("&[\n".to_owned(), 0);
    for file in found.keys() {
        // The text for SQLite is listed, and that for PostgreSQL beside it.
        let name = match file.split_once('.') {
            None => file,
            Some((name, "sqlite")) => name,
            Some(_) => continue,
        };
        let of = |database| found.get(&format!("{name}.{database}")).or_else(|| found.get(name));
        let (Some(sqlite), Some(postgres)) = (of("sqlite"), of("postgres")) else {
            return Err(format!("{name} is for one database only").into());
        };
        let version: u32 = name.split('_').next().unwrap_or_default().parse()?;
        if version <= last {
            return Err(
                format!("{name} has the number of another migration: of two, one would never be applied").into()
            );
        }
        last = version;
        let hashes = [hash(sqlite)?, hash(postgres)?];
        writeln!(
            list,
            "Migration {{ version: {version}, name: {name:?}, sqlite: include_str!({sqlite:?}), postgres: include_str!({postgres:?}), hashes: {hashes:?} }},"
        )?;
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), list)?;
    Ok(())
}

/// SHA-256 of a file, in hexadecimal.
fn hash(path: &Path) -> Result<String, Box<dyn Error>> {
    Ok(Sha256::digest(fs::read(path)?).iter().map(|byte| format!("{byte:02x}")).collect())
}
