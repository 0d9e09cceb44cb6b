mod properties;
mod single;
mod world;
