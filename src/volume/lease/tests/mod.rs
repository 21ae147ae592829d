mod changes;
mod model;
mod mounts;
mod rig;
