"""The version of seamir; packaging reads it from here."""

VERSION = "0.1.0"
