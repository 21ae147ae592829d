mod model;
mod mounts;
