//! The executable: command line in, exit code out.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match embedded_host::cli::run(embedded_host::cli::Command::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence with its causes; a backtrace does not help a user who mistyped a path.
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
