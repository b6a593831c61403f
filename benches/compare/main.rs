//! Backstop beside a minimal relay, HAProxy and nginx, measured in turns on one machine.
//!
//! `cargo bench --bench compare` needs two cores, better four, and the programs `wrk`, `iperf3`, `nginx`,
//! `haproxy`, `taskset` and `setpriv`. HAPROXY, NGINX and BACKSTOP name other builds. Every proxy has one
//! core; the servers and the load have the others, or share the other. CPU time is that of the proxy's process, from
//! `/proc/PID/stat`.

mod floor;
mod load;
mod metric;
mod paced;
mod plot;
#[allow(dead_code, reason = "the scale benchmark uses it too")]
mod process;
mod report;
mod run;
mod subjects;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::run::Kind;
use self::subjects::Subject;

#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the median of each figure over them counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    seconds: u64,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
    /// Measure these only
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Subject::ALL)]
    subjects: Vec<Subject>,
    /// Where the results go
    #[arg(long, value_name = "DIRECTORY", default_value = "target/compare")]
    output: PathBuf,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the minimal relay
    #[command(hide = true)]
    Floor {
        listen: SocketAddr,
        servers: Vec<SocketAddr>,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(Command::Floor { listen, servers }) = arguments.command {
        return Ok(floor::run(listen, servers)?);
    }
    let figures = run::all(&run::Plan {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        kinds: arguments.kinds,
        subjects: arguments.subjects,
    })?;
    println!("\n{}\n{}", figures.table(), figures.verdicts());
    let output = arguments.output;
    std::fs::create_dir_all(&output)?;
    let json = serde_json::to_string_pretty(&figures.json())?;
    std::fs::write(output.join("compare.json"), json)?;
    std::fs::write(
        output.join("compare.md"),
        figures.table() + "\n" + &figures.verdicts(),
    )?;
    plot::write(&figures, &output.join("compare.svg"))?;
    println!("Written to {}.", output.display());
    Ok(())
}
