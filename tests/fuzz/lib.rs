//! The fuzz targets: what each of them checks, and the fixture of the integration tests.

pub mod checks;

#[path = "../it/sim"]
pub mod sim {
    pub mod faults;
    pub mod fixture;
    pub mod requests;
    pub mod response_reader;
}
