"""Reading back an object, whichever format it has."""

from seamir.objects.coff import read_coff
from seamir.objects.contents import ObjectFile
from seamir.objects.elf import read_elf
from seamir.objects.sections import COFF_MACHINE


def read_object(data: bytes) -> ObjectFile:
    """Read an x86-64 relocatable object, ELF or COFF.

    Raises ObjectError, and nothing else, if it is none.
    """
    return read_coff(data) if data.startswith(COFF_MACHINE) else read_elf(data)
