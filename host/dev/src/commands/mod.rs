//! The commands, one file each: `Arguments` if it takes any, and `run`, which returns the exit code.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod check_tools;
pub(crate) mod coverage;
pub(crate) mod doctor;
pub(crate) mod export_db;
pub(crate) mod import_db;
pub(crate) mod keys;
pub(crate) mod manifest;
pub(crate) mod migrate;
pub(crate) mod model;
pub(crate) mod new_tool;
pub(crate) mod remove_tool;
pub(crate) mod test;
pub(crate) mod tool;
pub(crate) mod up;
