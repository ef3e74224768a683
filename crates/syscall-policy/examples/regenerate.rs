//! Writes the number tables in `src/tables` afresh.

#[path = "../tests/support/tables.rs"]
mod tables;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tables");
    for table in tables::all() {
        std::fs::write(directory.join(table.file).with_extension("rs"), table.render())?;
    }
    Ok(())
}
