# want "stages[0].base is debian:12"
FROM debian:12 AS base
FROM base
