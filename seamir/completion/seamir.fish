# Completion of the command seamir for fish 3.1 and newer.
function __seamir_completion
    set -l command (commandline -opc)[1]
    for answer in (_SEAMIR_COMPLETE=fish_complete COMP_WORDS=(commandline -cp | string collect) \
            COMP_CWORD=(commandline -ct | string collect) $command 2>/dev/null)
        switch $answer
            case 'dir,*'
                __fish_complete_directories (commandline -ct)
            case 'file,*'
                __fish_complete_path (commandline -ct)
            case '*,*'
                string replace --regex '^[^,]*,' '' -- $answer
        end
    end
end
complete --command seamir --no-files --arguments '(__seamir_completion)'
