"""What each brand of the lab's sites looks like and says: data only, and the same on every host of a brand."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Brand:
    """A brand: its name, its words and its colour.

    Attributes:
        paragraphs: Headings with their text, for ordinary pages.
    """

    name: str
    slogan: str
    colour: str
    footer: str
    language: str = "es"
    menu: tuple[str, ...] = ("Inicio", "Nosotros", "Contacto")
    paragraphs: tuple[tuple[str, str], ...] = ()


_CONVERTER_MENU = ("Converter", "Top", "FAQ")
_SMALL_PRINT = "Use it for your own recordings only. No file is kept."

BRANDS = MappingProxyType(
    {
        "flvto": Brand(
            "FLVto", "Video to sound converter and downloader", "#1565c0", _SMALL_PRINT, "en", _CONVERTER_MENU
        ),
        "y2mate": Brand(
            "Y2Mate", "Download video and audio from any link", "#d81b60", _SMALL_PRINT, "en", _CONVERTER_MENU
        ),
        "yout": Brand(
            "Yout", "The internet recorder: format shift anything", "#2e7d32", _SMALL_PRINT, "en", _CONVERTER_MENU
        ),
        "pirate": Brand("SoundGrab", "Grab the sound of any video", "#6a1b9a", _SMALL_PRINT, "en", _CONVERTER_MENU),
        "roja-directa": Brand(
            "Roja Directa", "Fútbol en vivo y gratis", "#c62828", "No alojamos ningún contenido.", "es",
            ("En vivo", "Agenda"),
        ),
        "libreria": Brand(
            "Librería El Faro", "Libros nuevos y de segunda mano desde 1974", "#5d4037", "Jr. de los Libros 12, Lima",
            paragraphs=(
                ("Novedades", "Llegaron los cuentos completos de la sierra y una historia ilustrada de Lima."),
                ("Pedidos", "Buscamos por usted el libro que falta en su biblioteca. Escríbanos."),
            ),
        ),
        "panaderia": Brand(
            "Panadería La Espiga", "Pan caliente a las seis", "#ef6c00", "Av. del Trigo 7, Lima",
            paragraphs=(
                ("Hoy", "Pan francés, pan de yema, chancay y torta helada."),
                ("Encargos", "Tortas para cumpleaños con dos días de anticipación."),
            ),
        ),
        "tramites": Brand(
            "Trámites del Estado", "Portal de trámites en línea", "#b71c1c", "Portal del Estado",
            paragraphs=(
                ("Documentos", "Solicite duplicados, certificados y constancias sin hacer cola."),
                ("Citas", "Reserve una cita en la oficina más cercana."),
            ),
        ),
        "apks": Brand(
            "APK Directo", "Todo el fútbol y toda la música en tu celular", "#00796b", "Subido por usuarios.",
            menu=("Inicio", "Ficha"),
            paragraphs=(
                ("Cómo se instala", "Permita la instalación de orígenes desconocidos y abra el archivo."),
                ("¿Es legal?", "No alojamos contenidos: la aplicación los busca por usted."),
            ),
        ),
        "ejemplo": Brand(
            "Ejemplo", "Una página cualquiera", "#455a64", "Ejemplo",
            paragraphs=(("Hola", "Esta página existe para que se pueda comprobar que se la alcanza."),),
        ),
    }
)  # fmt: skip
