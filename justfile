# Everything that must hold before a change lands.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace
    cargo deny check

# Watch real processes break and come back.
demo:
    cargo run --release -- demo

# 10,000 kills of the engine; hours.
soak kills="10000":
    KILLS={{kills}} cargo test --release --test a_killed_engine_loses_nothing -- --nocapture

# Matching, ingest and latency beside their limits and peers.
bench:
    cargo bench --bench matching
    cargo bench --bench replay
    cargo bench --bench ingest
    cargo bench --bench latency
    cargo bench --bench start
    cargo bench --bench runs
    cargo bench --bench plugins
