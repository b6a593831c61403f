//! The `backstop` program; all of it is in the library's `cli`.

/// A session's objects are aligned to cache lines, which the C library's allocator does slowly
/// and wastefully (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    backstop::cli::main()
}
